(* When each operation began and ended, and, under an open load, when it may begin. The log is memory that the collector does not scan,
   allocated and touched beforehand. *)

open Bigarray

let logged_max = 200_000

(* Nothing but floats, so that storing one allocates nothing. *)
type schedule = {
  mutable interval_ms : float; (* 0 is a closed loop *)
  mutable origin_ms : float;
  mutable first_ms : float;
  mutable index : float;
}

type t = {
  log : (float, float64_elt, c_layout) Array1.t;
  mutable at : int;
  schedule : schedule;
}

(* A rate of 0: each operation begins when the one before it is over. *)
let create rate =
  (* One pair more than are logged: all further ones are written there. *)
  let log = Array1.create float64 c_layout ((logged_max + 1) * 2) in
  Array1.fill log 0.0;
  let interval_ms = if rate > 0.0 then 1000.0 /. rate else 0.0 in
  { log; at = 0; schedule = { interval_ms; origin_ms = 0.0; first_ms = 0.0; index = 0.0 } }

(* The workload began at [origin_ms] of the clock. *)
let start operations origin_ms = operations.schedule.origin_ms <- origin_ms

let await_due schedule =
  if schedule.index = 0.0 then schedule.first_ms <- Clock.now_ms ();
  let due = schedule.first_ms +. (schedule.index *. schedule.interval_ms) in
  schedule.index <- schedule.index +. 1.0;
  Clock.await_ms due

let op_begin { log; at; schedule } =
  if schedule.interval_ms > 0.0 then await_due schedule;
  log.{at} <- Clock.now_ms () -. schedule.origin_ms

let op_end operations =
  let { log; at; schedule } = operations in
  log.{at + 1} <- Clock.now_ms () -. schedule.origin_ms;
  if at < 2 * logged_max then operations.at <- at + 2

let count operations = operations.at / 2

let write operations channel =
  let bytes = Bytes.create 8 in
  for i = 0 to operations.at - 1 do
    Bytes.set_int64_le bytes 0 (Int64.bits_of_float operations.log.{i});
    output_bytes channel bytes
  done
