/** What positions.ts needs of the parser inside the `toml` package, which declares only its entry point. */
declare module 'toml/lib/parser.js' {
  export interface TomlNode {
    readonly type: string;
    readonly offset: number;
    readonly key?: readonly string[];
    readonly value: unknown;
  }
  const parser: { parse(text: string): readonly TomlNode[] };
  export default parser;
}
