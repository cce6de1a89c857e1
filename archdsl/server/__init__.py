"""The language server: `archdsl.editing` in the words of the Language Server Protocol."""
