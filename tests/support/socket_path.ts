/** Where the sockets of services are: for tests that look for them, or go around the library. */
import { findRuntimeFolder, socketName } from "../../src/broker/runtime_folder.ts";

/** The path of a service's socket on Linux. */
export function serviceSocketPath(service: string): string {
  const { path, fault } = findRuntimeFolder();
  if (fault !== undefined) throw new Error(`Cannot find the sockets of services: ${fault}`);
  return `${path}/${socketName(service, path)}`;
}
