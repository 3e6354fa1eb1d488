/**
 * What the project's TypeScript modules import and export, as TypeScript's own parser reads them.
 *
 * @module
 */
import { dirname, join } from "@std/path/posix";
import ts from "npm:typescript@6.0.3";
import { listFiles } from "./files.ts";

/** One place in which a module names another. */
export interface Import {
  /** The line, from 1. */
  readonly line: number;
  /** The module that is named: a path relative to the root. */
  readonly path: string;
  /** What is taken from it; "all" where any export may be: `import * as`, `import()`. */
  readonly names: readonly string[] | "all";
  /** Whether the module is loaded with this one. A script's URL for a worker or a process loads nothing here. */
  readonly loads: boolean;
}

/** One place in which a module names something that is not of the project. */
export interface ExternalImport {
  /** The line, from 1. */
  readonly line: number;
  /** What is named: "npm:yaml@2.9.1", "node:fs", or a name that the import map knows. */
  readonly specifier: string;
}

/** A name that a module exports and declares itself. */
export interface Export {
  /** The line of its declaration, from 1. */
  readonly line: number;
  /** The name. */
  readonly name: string;
  /** Whether it is a type without a value. */
  readonly isType: boolean;
}

/** A re-export: a name of another module that this one exports too. */
export interface ReExport {
  /** The name in the other module; "all" for `export *`. */
  readonly name: string;
  /** The name here; the same where nothing renames it. */
  readonly as: string;
  /** The other module. */
  readonly path: string;
}

/** A function or a variable of a table for `Deno.dlopen`. */
export interface TableEntry {
  /** The line, from 1. */
  readonly line: number;
  /** The name that callers use. */
  readonly name: string;
}

/** A module of the project. */
export interface Module {
  /** Its path, relative to the root. */
  readonly path: string;
  /** The modules of the project that it names, in the order of the text. */
  readonly imports: readonly Import[];
  /** What it imports from outside of the project. */
  readonly externals: readonly ExternalImport[];
  /** What it declares and exports. */
  readonly exports: readonly Export[];
  /** What it takes from others and exports. */
  readonly reExports: readonly ReExport[];
  /** The entries of its tables for `Deno.dlopen`. */
  readonly tableEntries: readonly TableEntry[];
  /** How often each name occurs in the code as an identifier. */
  readonly mentions: ReadonlyMap<string, number>;
  /** The strings in the code. */
  readonly strings: ReadonlySet<string>;
  /** The lines of statements that are no re-export. */
  readonly ownLines: readonly number[];
}

/**
 * Reads every module of a project.
 *
 * @param root the project's folder, a git repository
 * @returns the modules, sorted by path
 */
export async function readModules(root: string): Promise<Module[]> {
  const paths = await listFiles(root, ["*.ts"]);
  const modules = paths.sort().map(async (path) =>
    parseModule(path, await Deno.readTextFile(join(root, path)))
  );
  return await Promise.all(modules);
}

/**
 * Reads one module.
 *
 * @param path its path, relative to the root
 * @param text its text
 * @returns what it imports and exports
 */
export function parseModule(path: string, text: string): Module {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  return new Reader(source, path).read();
}

class Reader {
  readonly #source: ts.SourceFile;
  readonly #path: string;
  readonly #imports: Import[] = [];
  readonly #externals: ExternalImport[] = [];
  readonly #exports: Export[] = [];
  readonly #reExports: ReExport[] = [];
  readonly #tableEntries: TableEntry[] = [];
  readonly #mentions = new Map<string, number>();
  readonly #strings = new Set<string>();
  readonly #ownLines: number[] = [];

  constructor(source: ts.SourceFile, path: string) {
    this.#source = source;
    this.#path = path;
  }

  read(): Module {
    for (const statement of this.#source.statements) this.#readStatement(statement);
    this.#source.forEachChild((node) => this.#readNode(node));
    return {
      path: this.#path,
      imports: this.#imports.sort((a, b) => a.line - b.line),
      externals: this.#externals,
      exports: this.#exports,
      reExports: this.#reExports,
      tableEntries: this.#tableEntries,
      mentions: this.#mentions,
      strings: this.#strings,
      ownLines: this.#ownLines,
    };
  }

  #lineOf(node: ts.Node): number {
    return this.#source.getLineAndCharacterOfPosition(node.getStart(this.#source)).line + 1;
  }

  /** The path of a module of the project; `undefined` for what is none. */
  #resolve(specifier: ts.Node | undefined): string | undefined {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return undefined;
    if (!specifier.text.startsWith(".") || !specifier.text.endsWith(".ts")) return undefined;
    return join(dirname(this.#path), specifier.text);
  }

  #addImport(node: ts.Node, specifier: ts.Node | undefined, names: Import["names"]): void {
    const line = this.#lineOf(node);
    const path = this.#resolve(specifier);
    if (path !== undefined) {
      this.#imports.push({ line, path, names, loads: true });
    } else if (
      specifier !== undefined && ts.isStringLiteralLike(specifier) && !specifier.text.startsWith(".")
    ) {
      this.#externals.push({ line, specifier: specifier.text });
    }
  }

  /** The URL of a script, for a worker or a process. */
  #addScript(node: ts.Node, specifier: ts.Node | undefined): void {
    const path = this.#resolve(specifier);
    if (path !== undefined) this.#imports.push({ line: this.#lineOf(node), path, names: [], loads: false });
  }

  #readStatement(statement: ts.Statement): void {
    if (ts.isImportDeclaration(statement)) {
      this.#addImport(statement, statement.moduleSpecifier, importedNames(statement.importClause));
    } else if (ts.isExportDeclaration(statement)) {
      this.#readExport(statement);
    } else {
      this.#ownLines.push(this.#lineOf(statement));
      const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) ?? [] : [];
      if (modifiers.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) {
        this.#readDeclaration(statement);
      }
    }
  }

  #readExport(statement: ts.ExportDeclaration): void {
    const { exportClause, moduleSpecifier } = statement;
    const path = this.#resolve(moduleSpecifier);
    if (exportClause === undefined || ts.isNamespaceExport(exportClause)) {
      this.#addImport(statement, moduleSpecifier, "all");
      if (path !== undefined) this.#reExports.push({ name: "all", as: "all", path });
      return;
    }
    const elements = exportClause.elements.map(({ name, propertyName }) => ({
      as: name.text,
      name: (propertyName ?? name).text,
    }));
    // A re-export is not a use: somebody has to import it where it is exported.
    this.#addImport(statement, moduleSpecifier, []);
    if (path !== undefined) this.#reExports.push(...elements.map((element) => ({ ...element, path })));
    if (moduleSpecifier !== undefined) return;
    this.#ownLines.push(this.#lineOf(statement));
    for (const { as } of elements) {
      this.#exports.push({ line: this.#lineOf(statement), name: as, isType: statement.isTypeOnly });
    }
  }

  #readDeclaration(statement: ts.Statement): void {
    const isType = ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement);
    for (const name of declaredNames(statement)) {
      this.#exports.push({ line: this.#lineOf(name), name: name.text, isType });
    }
  }

  /** What may stand anywhere in the code. */
  #readNode(node: ts.Node): void {
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      this.#addImport(node, node.argument.literal, "all");
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      this.#addImport(node, node.arguments[0], "all");
    } else if (
      ts.isNewExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === "URL"
    ) {
      this.#addScript(node, node.arguments?.[0]);
    } else if (
      ts.isSatisfiesExpression(node) && /\bForeignLibraryInterface$/.test(node.type.getText(this.#source))
    ) {
      this.#readTable(node.expression);
    } else if (ts.isIdentifier(node)) {
      this.#mentions.set(node.text, (this.#mentions.get(node.text) ?? 0) + 1);
    } else if (ts.isStringLiteralLike(node)) {
      this.#strings.add(node.text);
    }
    node.forEachChild((child) => this.#readNode(child));
  }

  #readTable(expression: ts.Expression): void {
    const table = ts.isAsExpression(expression) ? expression.expression : expression;
    if (!ts.isObjectLiteralExpression(table)) return;
    for (const { name } of table.properties) {
      if (name === undefined || !(ts.isIdentifier(name) || ts.isStringLiteral(name))) continue;
      this.#tableEntries.push({ line: this.#lineOf(name), name: name.text });
    }
  }
}

function importedNames(clause: ts.ImportClause | undefined): Import["names"] {
  if (clause === undefined) return [];
  const names = clause.name === undefined ? [] : ["default"];
  if (clause.namedBindings === undefined) return names;
  if (ts.isNamespaceImport(clause.namedBindings)) return "all";
  return names.concat(
    clause.namedBindings.elements.map(({ name, propertyName }) => (propertyName ?? name).text),
  );
}

function declaredNames(statement: ts.Statement): ts.Identifier[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name).filter(ts.isIdentifier);
  }
  const { name } = statement as ts.DeclarationStatement;
  return name !== undefined && ts.isIdentifier(name) ? [name] : [];
}
