/**
 * An `EventTarget` whose events have types.
 *
 * @typeParam Events the class of each event, by its type
 */
export class TypedEventTarget<Events> extends EventTarget {
  /**
   * Calls a function at each event of a type.
   *
   * @param type the type of the events
   * @param listener is called with the event
   * @param options as everywhere: `once`, `signal`
   */
  override addEventListener<Type extends keyof Events & string>(
    type: Type,
    listener: (event: Events[Type]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  /**
   * Calls a listener at each event of a type.
   *
   * @param type the type of the events
   * @param listener is called with the event
   * @param options as everywhere: `once`, `signal`
   */
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: unknown,
    options?: boolean | AddEventListenerOptions,
  ): void {
    super.addEventListener(type, listener as EventListenerOrEventListenerObject | null, options);
  }

  /**
   * Stops to call a function.
   *
   * @param type the type of the events
   * @param listener the function
   * @param options `capture`, as everywhere
   */
  override removeEventListener<Type extends keyof Events & string>(
    type: Type,
    listener: (event: Events[Type]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  /**
   * Stops to call a listener.
   *
   * @param type the type of the events
   * @param listener the listener
   * @param options `capture`, as everywhere
   */
  override removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
  override removeEventListener(
    type: string,
    listener: unknown,
    options?: boolean | EventListenerOptions,
  ): void {
    super.removeEventListener(type, listener as EventListenerOrEventListenerObject | null, options);
  }
}

/** A client is connected to a server, again or to another one. */
export class ConnectEvent extends Event {
  /** The process that serves. */
  readonly pid: number;

  /**
   * Makes the event.
   *
   * @param pid the process that serves
   */
  constructor(pid: number) {
    super("connect");
    this.pid = pid;
  }
}

/** The server of a client is gone, or the link to it. */
export class DisconnectEvent extends Event {
  /** What happened. */
  readonly error: Error;

  /**
   * Makes the event.
   *
   * @param error what happened
   */
  constructor(error: Error) {
    super("disconnect");
    this.error = error;
  }
}

/** The events of a {@linkcode Client}, by their types. */
export interface ClientEvents {
  /** The client is connected again, or to another server. `connected` and `pid` say so already. */
  readonly connect: ConnectEvent;
  /** The server is gone, or the link to it. `connected` is false already. */
  readonly disconnect: DisconnectEvent;
}
