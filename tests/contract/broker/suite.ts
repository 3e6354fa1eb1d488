import type { BrokerKind } from "./brokers.ts";

/** A test that every broker has to pass. */
export interface ContractTest {
  /** What it shows. */
  readonly name: string;
  /** Why it cannot run here, if it cannot. */
  readonly skipped?: string | undefined;
  /** Fails where the broker does not do that. */
  run(kind: BrokerKind): Promise<void>;
}
