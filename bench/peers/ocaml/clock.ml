(* The monotonic clock, in milliseconds, and the log of pauses: stubs.c. *)

external now_ms : unit -> (float[@unboxed]) = "peer_now_ms_bytecode" "peer_now_ms" [@@noalloc]

(* Sleeps until 1 ms before, then spins. *)
external await_ms : (float[@unboxed]) -> unit = "peer_await_ms_bytecode" "peer_await_ms" [@@noalloc]

(* Records from now on, when TOSPACE_PAUSE_LOG names a file. *)
external record_pauses : unit -> unit = "peer_record_pauses"

(* The arguments are the beginning and the end of the workload. *)
external write_pauses : float -> float -> unit = "peer_write_pauses"
