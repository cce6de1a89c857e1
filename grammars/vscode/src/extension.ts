import { type ChildProcess, spawn } from "node:child_process";
import * as os from "node:os";
import { commands, env, type ExtensionContext, type OutputChannel, window, workspace } from "vscode";
import {
  CloseAction,
  DidChangeConfigurationNotification,
  ErrorAction,
  LanguageClient,
  type LanguageClientOptions,
} from "vscode-languageclient/node";
import { findCommand, isProgram, whyItEnded } from "./command";

const KEPT = 4000; // characters of what the server writes, to tell why it ended

let server: Server | undefined;

export function activate(context: ExtensionContext): void {
  const output = window.createOutputChannel("archdsl");
  const current = (server = new Server(output));
  context.subscriptions.push(
    output,
    commands.registerCommand("archdsl.restart", () => current.restart()),
    commands.registerCommand("archdsl.showOutput", () => output.show()),
    workspace.onDidGrantWorkspaceTrust(() => current.restart()),
    workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("archdsl")) {
        current.settingsChanged();
      }
    }),
  );
  void current.restart();
}

export async function deactivate(): Promise<void> {
  await server?.stop();
}

/** One run of the language server. */
class Client extends LanguageClient {
  answered = false;

  /** What is wrong with one that never answered we say ourselves. */
  override error(message: string, data?: unknown, show: boolean | "force" = true): void {
    super.error(message, data, this.answered ? show : false);
  }
}

/** The language server, of which one runs at a time. */
class Server {
  private client: Client | undefined;
  private child: ChildProcess | undefined;
  private asked = 0;
  private path: string | undefined;
  private allowPython: boolean | undefined;
  private turn: Promise<void> = Promise.resolve();

  constructor(private readonly output: OutputChannel) {}

  restart(): Promise<void> {
    return this.inTurn(async (number) => {
      await this.end();
      if (number === this.asked) {
        await this.begin(number);
      }
    });
  }

  /** Told to the server that runs, unless it would be another one. */
  settingsChanged(): void {
    if (ofUser<string>("path") !== this.path || ofUser<boolean>("allowPython") !== this.allowPython) {
      void this.restart();
    } else if (this.client?.answered) {
      // Without the settings themselves: the server asks for what it wants to know.
      void this.client.sendNotification(DidChangeConfigurationNotification.type, { settings: null });
    }
  }

  stop(): Promise<void> {
    return this.inTurn(() => this.end());
  }

  /** One thing after the other; and nothing waits for a server that does not answer. */
  private inTurn(what: (number: number) => Promise<void>): Promise<void> {
    const number = ++this.asked;
    if (!this.client?.answered) {
      this.child?.kill();
    }
    const next = () => what(number);
    return (this.turn = this.turn.then(next, next));
  }

  private async begin(number: number): Promise<void> {
    this.path = ofUser<string>("path");
    this.allowPython = ofUser<boolean>("allowPython");
    const found = findCommand({
      path: this.path ?? "",
      folders: (workspace.workspaceFolders ?? [])
        .filter((folder) => folder.uri.scheme === "file")
        .map((folder) => folder.uri.fsPath),
      trusted: workspace.isTrusted,
      environment: process.env,
      platform: process.platform,
      isProgram,
    });
    if (typeof found !== "string") {
      this.tell(found.message);
      return;
    }
    let written = "";
    const start = async (): Promise<ChildProcess> => {
      this.output.appendLine(`${found} lsp`);
      // Not in the folder that is open: what lies there is nobody's library.
      const child = (this.child = spawn(found, ["lsp"], { cwd: os.homedir() }));
      child.stderr.setEncoding("utf8");
      child.stderr.on("data", (text: string) => {
        written = (written + text).slice(-KEPT);
      });
      child.on("error", (error) => {
        written += error.message;
      });
      return child;
    };
    const options: LanguageClientOptions = {
      documentSelector: [
        { language: "arch", scheme: "file" },
        { language: "arch", scheme: "untitled" },
      ],
      initializationOptions: { allowPython: this.allowPython === true && workspace.isTrusted },
      outputChannel: this.output,
      initializationFailedHandler: () => false,
    };
    const client = new Client("archdsl", "archdsl", start, options);
    const usual = client.createDefaultErrorHandler();
    client.clientOptions.errorHandler = {
      error: (...what) =>
        client.answered ? usual.error(...what) : { action: ErrorAction.Shutdown, handled: true },
      // One that never answered would not the next time either.
      closed: () => (client.answered ? usual.closed() : { action: CloseAction.DoNotRestart, handled: true }),
    };
    this.client = client;
    await client.start().catch((error) => this.output.appendLine(String(error)));
    client.answered = client.isRunning();
    if (!client.answered) {
      this.client = undefined;
      if (number === this.asked) {
        this.tell(whyItEnded(found, written));
      }
    }
  }

  private async end(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    // One that ended by itself has nothing to stop.
    await client?.dispose().catch((error) => this.output.appendLine(String(error)));
  }

  /** Say what is wrong, without waiting for an answer. */
  private tell(message: string): void {
    this.output.appendLine(message);
    const [, remedy] = /: (pip install .*)$/.exec(message) ?? [];
    const copy = "Copy It";
    const settings = "Settings";
    const output = "Output";
    const again = "Try Again";
    void window
      .showErrorMessage(message, ...(remedy ? [copy] : []), again, settings, output)
      .then(async (answer) => {
        if (answer === copy && remedy) {
          await env.clipboard.writeText(remedy);
        } else if (answer === again) {
          await this.restart();
        } else if (answer === settings) {
          await commands.executeCommand("workbench.action.openSettings", "archdsl.");
        } else if (answer === output) {
          this.output.show();
        }
      });
  }
}

/** A setting as the user has it, whatever a folder says. */
function ofUser<T>(name: string): T | undefined {
  return workspace.getConfiguration("archdsl").inspect<T>(name)?.globalValue;
}
