(* Weak references, ephemerons and finalizers. *)

open Workload
module Ephemeron = Ephemeron.K1

let operations_at_scale_1 = 32_768.0
let subjects_max = 32_768
let subjects_min = 1024
let guard_every = 4
let graves = 4096
let replacements_per_operation = 64
let graves_per_operation = 16
let is_guarded id = id mod guard_every = 0

type subject = { id : int; data : Block.t }
type value = { owner : subject; number : int }

(* What refers to a subject without keeping it alive. *)
type weak = { weak_id : int; reference : subject Weak.t; ephemeron : (subject, value) Ephemeron.t }
type place = { subject : subject; weak : weak }

(* How many have died, or should have, and the exclusive or of their ids. *)
type deaths = { mutable count : int; mutable ids : int }

type state = {
  mutable checksum : int;
  random : Words.random;
  mutable places : place array;
  graves : weak option array;
  expected : deaths;
  finalized : deaths;
  mutable next_id : int;
  mutable replaced : int;
}

let bury deaths id =
  if not (is_guarded id) then Printf.ksprintf failwith "subject %d was finalized, and was never guarded" id;
  deaths.count <- deaths.count + 1;
  deaths.ids <- deaths.ids lxor id

let make state =
  let id = state.next_id in
  state.next_id <- id + 1;
  let data = Block.create (4 + ((Words.mix id lsr 8) mod 16)) in
  for i = 0 to Block.length data - 1 do
    Block.set data i (id + i)
  done;
  let subject = { id; data } in
  let value = { owner = subject; number = Words.mix id } in
  let reference = Weak.create 1 in
  Weak.set reference 0 (Some subject);
  let ephemeron = Ephemeron.create () in
  Ephemeron.set_key ephemeron subject;
  Ephemeron.set_data ephemeron value;
  if is_guarded id then Gc.finalise_last (fun () -> bury state.finalized id) subject;
  { subject; weak = { weak_id = id; reference; ephemeron } }

let read state { subject; weak } =
  match (Weak.get weak.reference 0, Ephemeron.get_data weak.ephemeron) with
  | Some named, Some { owner; number } when named == subject && owner == subject ->
      let { id; data } = subject in
      let sum = Words.add (Words.add state.checksum id) number in
      state.checksum <- Words.add sum (Block.get data (id mod Block.length data))
  | _ -> Printf.ksprintf failwith "subject %d lives, and has lost a reference" subject.id

let look = function
  | None -> ()
  | Some { weak_id; reference; ephemeron } -> (
      match Weak.get reference 0 with
      | Some { id; _ } ->
          if id <> weak_id then Printf.ksprintf failwith "the reference to %d names %d" weak_id id
      | None ->
          if Ephemeron.check_data ephemeron then
            Printf.ksprintf failwith "subject %d is dead, and its value is not" weak_id)

let step state =
  for _ = 1 to replacements_per_operation do
    let at = Words.below state.random (Array.length state.places) in
    let place = state.places.(at) in
    read state place;
    state.graves.(state.replaced mod graves) <- Some place.weak;
    state.replaced <- state.replaced + 1;
    if is_guarded place.subject.id then bury state.expected place.subject.id;
    state.places.(at) <- make state
  done;
  (* Finalizations have come by themselves: they run at allocations. *)
  for _ = 1 to graves_per_operation do
    look state.graves.(Words.below state.random graves)
  done

(* Collects, and sees that all that is dead has been found. *)
let settle { expected; finalized; graves; _ } =
  Gc.full_major ();
  if finalized.count <> expected.count || finalized.ids <> expected.ids then
    Printf.ksprintf failwith "%d subjects were finalized, not %d" finalized.count expected.count;
  let is_empty { weak_id; reference; ephemeron } =
    if Weak.check reference 0 || Ephemeron.check_data ephemeron then
      Printf.ksprintf failwith "subject %d is reachable by weak references only" weak_id
  in
  Array.iter (Option.iter is_empty) graves

let run { scale; seed; operations } =
  let count = rounded (operations_at_scale_1 *. scale) in
  let state =
    {
      checksum = Words.checksum_start;
      random = { Words.state = seed };
      places = [||];
      graves = Array.make graves None;
      expected = { count = 0; ids = 0 };
      finalized = { count = 0; ids = 0 };
      next_id = 0;
      replaced = 0;
    }
  in
  state.places <- Array.init (min subjects_max (max subjects_min (4 * count))) (fun _ -> make state);
  in_operations operations ~count ~batch:1 (fun _ -> step state);
  Array.iter (read state) state.places;
  let checksum = Words.add (Words.add state.checksum state.expected.count) state.expected.ids in
  settle state;
  checksum
