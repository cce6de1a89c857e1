"""The tree of a network's scopes: where each member stands, and which scope is read before which."""

from __future__ import annotations

from archdsl.compiler.network import Network, Node, Scope


class ScopeTree:
    """Where the members of a network's scopes stand.

    `scopes` are in order, those outside before those inside. `host` is the scope among whose members a
    layer or scope stands; what a `shared` line makes is named after another. `extras` are those others'
    own: what a scope registers for scopes inside it, or elsewhere, to call.
    """

    def __init__(self, network: Network) -> None:
        self.root = network.scope
        self.host: dict[Node | Scope, Scope] = {}
        self.scopes = self._walk()
        self.depth = {self.root: 0}
        for scope in self.scopes[1:]:
            self.depth[scope] = self.depth[self.host[scope]] + 1
        self.by_name = {scope.name: scope for scope in reversed(self.scopes)}
        self.extras: dict[Scope, list[Node | Scope]] = {}
        self._find_extras()

    def _walk(self) -> list[Scope]:
        pending = [self.root]
        order: list[Scope] = []
        while pending:
            scope = pending.pop()
            order.append(scope)
            for member in scope.members:
                self.host[member] = scope
            pending += [member for member in reversed(scope.members) if isinstance(member, Scope)]
        return order

    def _find_extras(self) -> None:
        for member in self.host:
            owner = member.scope if isinstance(member, Node) else member.parent
            first = member.first is None if isinstance(member, Node) else self.first_use(member) is None
            if first and owner is not None and owner is not self.host[member]:
                self.extras.setdefault(owner, []).append(member)

    def is_inside(self, scope: Scope, outer: Scope) -> bool:
        while self.depth[scope] > self.depth[outer]:
            scope = self.host[scope]
        return scope is outer

    def first_use(self, scope: Scope) -> Scope | None:
        """The first use of the shared block that `scope` is a later use of."""
        if "@" not in scope.name:
            return None
        pending: list[Scope] = [scope]
        while pending:
            for member in pending.pop().members:
                if isinstance(member, Scope):
                    pending.append(member)
                elif member.first is not None:
                    inside = member.name.removeprefix(scope.name)
                    if member.first.name.endswith(inside):
                        found = self.by_name.get(member.first.name[: -len(inside)])
                        return None if found is scope else found
        return None

    def levels(self) -> list[list[Scope]]:
        """The scopes by height: those of a level need only those of the levels before."""
        height = dict.fromkeys(self.scopes, 0)
        changed = True
        while changed:
            changed = False
            for scope in reversed(self.scopes):
                inner = [m for m in (*scope.members, *self.extras.get(scope, ())) if isinstance(m, Scope)]
                first = self.first_use(scope)
                least = max([height[m] + 1 for m in inner] + ([height[first]] if first else []), default=0)
                if least > height[scope]:
                    height[scope] = least
                    changed = True
        levels: list[list[Scope]] = [[] for _ in range(max(height.values()) + 1)]
        for scope in self.scopes:
            levels[height[scope]].append(scope)
        return levels
