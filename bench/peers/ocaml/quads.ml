(* Short-lived trees of nodes with four children beside a long-lived one. *)

open Workload

let operations_per_round = 3200.0
let rounds = 20
let live_depth = 9
let live_depth_small = 6
let small_scale = 0.05 (* below this scale a run is too short for the large tree *)
let garbage_depth = 3
let trees_per_operation = 16

type quad = Empty | Quad of { a : quad; b : quad; c : quad; d : quad; serial : int }
type forest = { mutable checksum : int; mutable next_serial : int }

let make forest a b c d =
  let serial = forest.next_serial in
  forest.next_serial <- serial + 1;
  Quad { a; b; c; d; serial }

let rec build forest depth =
  if depth = 0 then make forest Empty Empty Empty Empty
  else
    let a = build forest (depth - 1) in
    let b = build forest (depth - 1) in
    let c = build forest (depth - 1) in
    let d = build forest (depth - 1) in
    make forest a b c d

let add forest word = forest.checksum <- Words.add forest.checksum word

let look forest = function
  | Quad { serial; c = Quad third; _ } ->
      add forest serial;
      add forest third.serial
  | _ -> ()

let rec read forest = function
  | Empty -> ()
  | Quad { a; b; c; d; serial } ->
      add forest serial;
      read forest a;
      read forest b;
      read forest c;
      read forest d

let run { scale; operations; _ } =
  let forest = { checksum = Words.checksum_start; next_serial = 0 } in
  let live = build forest (if scale < small_scale then live_depth_small else live_depth) in
  let count = rounded (operations_per_round *. scale) in
  for _ = 1 to rounds do
    in_operations operations ~count ~batch:1 (fun _ ->
        for _ = 1 to trees_per_operation do
          look forest (build forest garbage_depth)
        done);
    read forest live
  done;
  forest.checksum
