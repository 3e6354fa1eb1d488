import { describeThrown } from "../link/messages_errors.ts";
import type { MessageHandlers } from "../link/messages_inbox.ts";
import { disposeValue, type XpcValue } from "../xpc/mod.ts";
import { type MessageValue, packValue, type RegionOpener, unpackValue } from "./messages_values.ts";

/** Answers requests: gives the answer, at once or later. */
export type RequestHandler = (value: MessageValue) => MessageValue | void | Promise<MessageValue | void>;

/** Takes messages. A promise that it returns keeps the message under way. */
export type MessageHandler = (value: MessageValue) => void | Promise<void>;

/** Makes of a handler of requests what the link calls. */
export function answering(
  handle: RequestHandler,
  open: RegionOpener,
): NonNullable<MessageHandlers["request"]> {
  const answerOf = (answer: MessageValue | void): XpcValue => answer === undefined ? null : packValue(answer);
  return (value) => {
    const answer = handle(unpackValue(value, open));
    return answer instanceof Promise ? answer.then(answerOf) : answerOf(answer);
  };
}

/**
 * Makes of a handler of messages what the link calls. What the handler throws has nobody to go to but the console: it
 * must not end the process, since the sender chose the message.
 */
export function taking(
  handle: MessageHandler,
  open: RegionOpener,
  sender: string,
): NonNullable<MessageHandlers["message"]> {
  const tell = (error: unknown): void => {
    const { name, message } = describeThrown(error);
    console.error(`Cannot handle a message of ${sender}: ${name}: ${message}`);
  };
  return async (value) => {
    try {
      await handle(unpackValue(value, open));
    } catch (error) {
      tell(error);
    } finally {
      disposeValue(value);
    }
  };
}
