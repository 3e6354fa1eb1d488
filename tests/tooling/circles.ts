/**
 * Circles between modules.
 *
 * @module
 */
import type { Import, Module } from "./modules.ts";

/**
 * Finds modules that import each other, directly or through others.
 *
 * @param modules the modules
 * @returns for each group of them, one circle as a line that begins with a file and the line of an import
 */
export function findCircles(modules: readonly Module[]): string[] {
  const graph = new Map(modules.map(({ path, imports }) => [path, imports.filter(({ loads }) => loads)]));
  return components(graph).flatMap((group) => describe(shortestCircle(graph, group)));
}

type Graph = ReadonlyMap<string, readonly Import[]>;

/** An import and the module that it stands in. */
interface Edge {
  readonly from: string;
  readonly line: number;
  readonly to: string;
}

/** The groups of modules in which each reaches each other: Tarjan's strongly connected components. */
function components(graph: Graph): string[][] {
  const groups: string[][] = [];
  const order = new Map<string, number>();
  const stack: string[] = [];
  const onStack = new Set<string>();
  const visit = (path: string): number => {
    let low = order.size;
    order.set(path, low);
    stack.push(path);
    onStack.add(path);
    for (const { path: next } of graph.get(path) ?? []) {
      if (!order.has(next)) low = Math.min(low, visit(next));
      else if (onStack.has(next)) low = Math.min(low, order.get(next)!);
    }
    if (low === order.get(path)) {
      const group = stack.splice(stack.lastIndexOf(path));
      for (const each of group) onStack.delete(each);
      groups.push(group);
    }
    return low;
  };
  for (const path of graph.keys()) if (!order.has(path)) visit(path);
  return groups;
}

/** The shortest way from a module of the group back to it; nothing where no module of it imports another. */
function shortestCircle(graph: Graph, group: readonly string[]): Edge[] {
  const circles = group.map((start) => shortestWayBack(graph, start)).filter((circle) => circle.length > 0);
  return circles.sort((a, b) => a.length - b.length)[0] ?? [];
}

function shortestWayBack(graph: Graph, start: string): Edge[] {
  const ways = new Map<string, Edge[]>([[start, []]]);
  for (const [at, way] of ways) { // breadth first: a map yields what is added while it is read
    for (const { path: to, line } of graph.get(at) ?? []) {
      const longer = [...way, { from: at, line, to }];
      if (to === start) return longer;
      if (!ways.has(to)) ways.set(to, longer);
    }
  }
  return [];
}

function describe(circle: readonly Edge[]): string[] {
  const [first] = circle;
  if (first === undefined) return [];
  const steps = circle.map(({ from, line, to }) => `${from}:${line} imports ${to}`);
  return [`${first.from}:${first.line}: Cannot import in a circle: ${steps.join(", ")}`];
}
