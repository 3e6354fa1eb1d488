/**
 * The functions of our shim, from `ffi/native/include/shim.h`, which says what each does.
 *
 * @module
 */
import {
  audience,
  buffer,
  link,
  lock,
  locks,
  memory,
  object,
  owner,
  queue,
  ring,
  seat,
  share,
  streamReader,
  streamWriter,
} from "./_ctypes.ts";

/** The symbol table of the shim. */
export const shim = {
  shim_version: { parameters: [], result: "u32" },

  // event_queue.c
  /** `wake`: an `int32_t` to fill */
  shim_queue_create: { parameters: [buffer], result: queue },
  /** `queue`, `events`, `capacity` */
  shim_queue_drain: { parameters: [queue, buffer, "u32"], result: "u32" },
  shim_queue_release: { parameters: [queue], result: "void" },

  // links.c
  shim_link_to_service: { parameters: [queue, buffer], result: link },
  shim_link_to_endpoint: { parameters: [queue, object], result: link },
  shim_link_listen: { parameters: [queue, buffer], result: link },
  shim_link_listen_anonymous: { parameters: [queue], result: link },
  shim_link_id: { parameters: [link], result: "u32" },
  shim_link_connection: { parameters: [link], result: object },
  shim_euid: { parameters: [], result: "u32" },
  shim_link_require: { parameters: [link, buffer], result: "i32" },
  shim_link_activate: { parameters: [link], result: "void" },
  shim_link_send: { parameters: [link, object], result: "void" },
  shim_link_request: { parameters: [link, object, "u32"], result: "i32" },
  shim_link_barrier: { parameters: [link, "u32"], result: "i32" },
  shim_link_cancel: { parameters: [link], result: "void" },
  shim_link_release: { parameters: [link], result: "void" },
  /** `link`, `buffer`, `size` */
  shim_link_reason: { parameters: [link, buffer, "u32"], result: "u32" },
  /** `link`, `call`, `context` */
  shim_link_on_death: { parameters: [link, "function", "pointer"], result: "i32" },
  /** `link`, `context` */
  shim_link_forget_death: { parameters: [link, "pointer"], result: "void" },

  // owner.c
  /** `mutexes`, `revisions`, `stride`, `count`, `owner`, `gone`, `turns`, `locks` */
  shim_owner_create: {
    parameters: [memory, memory, "u32", "u32", "u32", memory, memory, locks],
    result: owner,
  },
  shim_owner_free: { parameters: [owner], result: "void" },
  shim_owner_dead: { parameters: [owner], result: memory },
  /** The function that `shim_link_on_death` is to call. */
  shim_owner_death_call: { parameters: [], result: "pointer" },

  // values.c
  /** `dictionary`, `keys`, `values`, `capacity` */
  shim_dictionary_entries: { parameters: [object, buffer, buffer, "u32"], result: "u32" },

  // memory.c
  /** `length`, `mapping` */
  shim_memory_create: { parameters: ["u64", buffer], result: "i32" },
  shim_memory_create_read_only: { parameters: ["u64", buffer], result: "i32" },
  /** `object`, `length`, `mapping` */
  shim_memory_open: { parameters: [object, "u64", buffer], result: "i32" },
  shim_memory_open_read_only: { parameters: [object, "u64", buffer], result: "i32" },
  /** `address`, `length`, `writable` */
  shim_memory_prefault: { parameters: [memory, "u64", "bool"], result: "i32" },
  /** `address`, `mapped` */
  shim_memory_close: { parameters: [memory, "u64"], result: "i32" },
  shim_memory_retire: { parameters: [memory, "u64"], result: "i32" },
  shim_memory_page_size: { parameters: [], result: "u64" },
  shim_memory_physical: { parameters: [], result: "u64" },

  // words.c
  shim_word_load: { parameters: [memory], result: "u32" },
  shim_word_load64: { parameters: [memory], result: "f64" },
  shim_clock: { parameters: [], result: "f64" },
  shim_wait_is_native: { parameters: [], result: "bool" },

  // mutex.c
  /** `word`, `owner` */
  shim_mutex_try: { parameters: [memory, "u32"], result: "i32" },
  /** `word`, `owner`, `spin`, `milliseconds` */
  shim_mutex_wait: { parameters: [memory, "u32", "u32", "f64"], result: "i32" },
  shim_mutex_holder: { parameters: [memory], result: "u32" },
  shim_mutex_abandon: { parameters: [memory, "u32"], result: "i32" },

  // waiter.c
  /** `queue`, `request`, `word`, `owner`, `milliseconds` */
  shim_mutex_wait_async: { parameters: [queue, "u32", memory, "u32", "f64"], result: "i32" },
  /** `queue`, `request`, `revision`, `parked`, `after`, `milliseconds` */
  shim_revision_wait_async: { parameters: [queue, "u32", memory, memory, "f64", "f64"], result: "i32" },
  shim_wait_cancel: { parameters: [queue, "u32"], result: "void" },

  // turns.c
  /** `words`, `who` */
  shim_turn_ask: { parameters: [memory, "u32"], result: "void" },
  /** `words`, `turns` */
  shim_turn_give: { parameters: [memory, memory], result: "void" },
  /** `words`, `turns`, `owner` */
  shim_turn_unlock: { parameters: [memory, memory, "u32"], result: "i32" },
  /** `sleeps`, `count`, `milliseconds` */
  shim_wait_any: { parameters: [buffer, "u32", "f64"], result: "i32" },

  // locks.c
  /** `words`, `turns`, `memory`, `kind`, `limit`, `owner` */
  shim_lock_create: { parameters: [memory, memory, memory, "u32", "u32", "u32"], result: lock },
  shim_lock_free: { parameters: [lock], result: "void" },
  /** `lock`, `mode`, `claimed` */
  shim_lock_try: { parameters: [lock, "u32", "bool"], result: "i32" },
  shim_lock_unclaim: { parameters: [lock], result: "void" },
  /** `lock`, `mode`, `gone`, `spin`, `milliseconds` */
  shim_lock_wait: { parameters: [lock, "u32", memory, "u32", "f64"], result: "i32" },
  /** `lock`, `mode`, `place` */
  shim_lock_release: { parameters: [lock, "u32", "i32"], result: "i32" },
  shim_lock_set: { parameters: [lock], result: "void" },
  shim_lock_reset: { parameters: [lock], result: "void" },
  shim_lock_count: { parameters: [lock], result: "u32" },
  shim_lock_holder: { parameters: [lock], result: "u32" },
  /** `lock`, `mode` */
  shim_lock_blocks_itself: { parameters: [lock, "u32"], result: "bool" },
  shim_locks_create: { parameters: [], result: locks },
  shim_locks_free: { parameters: [locks], result: "void" },
  /** `locks`, `lock` */
  shim_locks_add: { parameters: [locks, lock], result: "void" },
  shim_locks_remove: { parameters: [locks, lock], result: "void" },

  // revisions.c
  shim_audience_create: { parameters: [], result: audience },
  shim_audience_free: { parameters: [audience], result: "void" },
  /** `audience`, `parked`, `count`, `bell` */
  shim_audience_add: { parameters: [audience, memory, "u32", "i32"], result: "i32" },
  shim_audience_set_bell: { parameters: [audience, "i32", "i32"], result: "void" },
  shim_audience_remove: { parameters: [audience, "i32"], result: "void" },
  /** `audience`, `revision`, `index` */
  shim_revision_commit: { parameters: [audience, memory, "u32"], result: "f64" },
  shim_revision_wake: { parameters: [audience, memory, "u32"], result: "void" },
  shim_revision_park: { parameters: [memory], result: "void" },
  shim_revision_unpark: { parameters: [memory], result: "void" },
  /** `parked`, `sleeps` */
  shim_revision_count_thread: { parameters: [memory, "bool"], result: "void" },
  /** `revision`, `parked`, `gone`, `after`, `spin`, `milliseconds` */
  shim_revision_wait: { parameters: [memory, memory, memory, "f64", "u32", "f64"], result: "f64" },

  // stream_writer.c
  /** `header`, `slots`, `last`, `audience`, `revision`, `index` */
  shim_stream_writer_create: {
    parameters: [memory, "u32", "f64", audience, memory, "u32"],
    result: streamWriter,
  },
  shim_stream_writer_free: { parameters: [streamWriter], result: "void" },
  /** `writer`, `leases`, `gone` */
  shim_stream_reader_add: { parameters: [streamWriter, memory, memory], result: "i32" },
  /** `writer`, `reader` */
  shim_stream_reader_remove: { parameters: [streamWriter, "i32"], result: "void" },
  /** `writer`, `flags` */
  shim_stream_loan: { parameters: [streamWriter, "u32"], result: "i32" },
  /** `writer`, `slot` */
  shim_stream_drop: { parameters: [streamWriter, "u32"], result: "void" },
  /** `writer`, `slot`, `length`, `timestamp`, `record` */
  shim_stream_publish: { parameters: [streamWriter, "u32", "f64", "f64", buffer], result: "f64" },
  /** `writer`, `readers`, `capacity` */
  shim_stream_holders: { parameters: [streamWriter, buffer, "u32"], result: "u32" },

  // stream_reader.c
  /** `header`, `slots`, `leases`, `last`, `audience`, `revision`, `index` */
  shim_stream_reader_create: {
    parameters: [memory, "u32", memory, "f64", audience, memory, "u32"],
    result: streamReader,
  },
  shim_stream_reader_free: { parameters: [streamReader], result: "void" },
  shim_stream_reader_last: { parameters: [streamReader], result: "f64" },
  shim_stream_reader_want_every: { parameters: [streamReader], result: "void" },
  /** `reader`, `every`, `after`, `frame` */
  shim_stream_take: { parameters: [streamReader, "bool", "f64", buffer], result: "i32" },
  /** `reader`, `slot`, `sequence` */
  shim_stream_release: { parameters: [streamReader, "u32", "f64"], result: "void" },
  shim_stream_holds: { parameters: [streamReader, "u32", "f64"], result: "bool" },

  // ring.c
  /** `memory`, `capacity`, `audience`, `index` */
  shim_ring_create: { parameters: [memory, "u32", audience, "u32"], result: ring },
  shim_ring_free: { parameters: [ring], result: "void" },
  /** `ring`, `bytes`, `length` */
  shim_ring_send: { parameters: [ring, buffer, "u32"], result: "i32" },
  shim_ring_next: { parameters: [ring], result: "i32" },
  /** `ring`, `bytes`, `capacity` */
  shim_ring_receive: { parameters: [ring, buffer, "u32"], result: "i32" },
  /** `ring`, `bytes`, `capacity` */
  shim_ring_rest: { parameters: [ring, buffer, "u32"], result: "i32" },
  /** `ring`, `writes` */
  shim_ring_leave: { parameters: [ring, "bool"], result: "void" },

  // realms.c
  /** `queue`, `place`, `audience`, `facts`, `length`, `secret` */
  shim_share_create: { parameters: [queue, buffer, audience, buffer, "u32", buffer], result: share },
  shim_share_id: { parameters: [share], result: "f64" },
  /** `share`, `request` */
  shim_share_close: { parameters: [share, "u32"], result: "u32" },
  shim_share_free: { parameters: [share], result: "void" },
  shim_share_death_call: { parameters: [], result: "pointer" },
  /** `queue`, `gone`, `closed`, `key`, `out` */
  shim_seat_take: { parameters: [queue, "u32", "u32", buffer, buffer], result: seat },
  /** `seat`, `length` */
  shim_seat_facts: { parameters: [seat, buffer], result: "pointer" },
  shim_seat_audience: { parameters: [seat], result: audience },
  shim_seat_ended: { parameters: [seat], result: memory },
  shim_seat_disown_data: { parameters: [seat], result: "void" },
  shim_seat_leave: { parameters: [seat], result: "void" },
  shim_seat_try: { parameters: [seat], result: "i32" },
  /** `seat`, `spin`, `milliseconds` */
  shim_seat_wait: { parameters: [seat, "u32", "f64"], result: "i32" },
  /** `queue`, `request`, `seat`, `milliseconds` */
  shim_seat_wait_async: { parameters: [queue, "u32", seat, "f64"], result: "i32" },
  shim_seat_unlock: { parameters: [seat], result: "i32" },
  shim_seat_abandon: { parameters: [seat], result: "i32" },

  // tiles.c
  /** `tiles`, `audience`, `index`, `ranges`, `count` */
  shim_tiles_commit: { parameters: [buffer, audience, "u32", buffer, "u32"], result: "f64" },
  /** `tiles`, `since`, `revision`, `runs`, `capacity` */
  shim_tiles_changed: { parameters: [buffer, "f64", "f64", buffer, "u32"], result: "u32" },
  /** `tiles`, `target`, `since`, `milliseconds`, `result` */
  shim_tiles_copy_wait: { parameters: [buffer, buffer, "f64", "f64", buffer], result: "i32" },

  // doorbell.c
  /** `queue`, `ends`: two `int32_t` to fill */
  shim_queue_open_bell: { parameters: [queue, buffer], result: "i32" },
  /** `queue`, `fd` */
  shim_queue_forget_bell: { parameters: [queue, "i32"], result: "void" },
  shim_bell_ring: { parameters: ["i32"], result: "i32" },
  shim_descriptor_close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** What neither a first connection nor a busy program calls: it is bound when it is needed. */
export const SHIM_LATER: ReadonlySet<keyof typeof shim> = new Set([
  "shim_queue_release",
  "shim_queue_open_bell",
  "shim_queue_forget_bell",
  "shim_link_listen",
  "shim_link_require",
  "shim_link_barrier",
  "shim_link_cancel",
  "shim_link_release",
  "shim_link_reason",
  "shim_link_forget_death",
  "shim_owner_free",
  "shim_memory_create_read_only",
  "shim_memory_prefault",
  "shim_memory_close",
  "shim_memory_retire",
  "shim_memory_page_size",
  "shim_wait_is_native",
  "shim_mutex_holder",
  "shim_mutex_abandon",
  "shim_mutex_wait_async",
  "shim_revision_wait_async",
  "shim_wait_cancel",
  "shim_turn_ask",
  "shim_turn_give",
  "shim_wait_any",
  "shim_lock_create",
  "shim_lock_free",
  "shim_lock_try",
  "shim_lock_unclaim",
  "shim_lock_wait",
  "shim_lock_release",
  "shim_lock_set",
  "shim_lock_reset",
  "shim_lock_count",
  "shim_lock_holder",
  "shim_lock_blocks_itself",
  "shim_locks_create",
  "shim_locks_free",
  "shim_locks_add",
  "shim_locks_remove",
  "shim_revision_count_thread",
  "shim_audience_free",
  "shim_audience_set_bell",
  "shim_audience_remove",
  "shim_tiles_commit",
  "shim_tiles_changed",
  "shim_tiles_copy_wait",
  "shim_bell_ring",
  "shim_descriptor_close",
  "shim_owner_dead",
  "shim_stream_writer_create",
  "shim_stream_writer_free",
  "shim_stream_reader_add",
  "shim_stream_reader_remove",
  "shim_stream_holders",
  "shim_stream_reader_create",
  "shim_stream_reader_free",
  "shim_stream_reader_last",
  "shim_stream_reader_want_every",
  // These are called for each frame: whoever does so keeps the function.
  "shim_stream_loan",
  "shim_stream_drop",
  "shim_stream_publish",
  "shim_stream_take",
  "shim_stream_release",
  "shim_stream_holds",
  "shim_share_create",
  "shim_share_id",
  "shim_share_close",
  "shim_share_free",
  "shim_share_death_call",
  "shim_seat_take",
  "shim_seat_facts",
  "shim_seat_audience",
  "shim_seat_ended",
  "shim_seat_disown_data",
  "shim_seat_leave",
  "shim_seat_try",
  "shim_seat_wait",
  "shim_seat_wait_async",
  "shim_seat_unlock",
  "shim_seat_abandon",
  "shim_ring_create",
  "shim_ring_free",
  "shim_ring_send",
  "shim_ring_next",
  "shim_ring_receive",
  "shim_ring_rest",
  "shim_ring_leave",
]);
