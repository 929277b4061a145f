(* A long chain in random order, renewed in places and followed from end to end. *)

open Workload

let rounds_at_scale_1 = 20.0
let nodes_large = 262_144
let nodes_small = 16_384
let small_scale = 0.05 (* below this scale a run is too short for the long chain *)
let renew_every = 16
let chases = 8
let steps_per_operation = 1024
let garbage_per_operation = 64

(* With ballast: a node has the size of a cache line or more. *)
type node =
  | Nil
  | Node of {
      mutable next : node;
      id : int;
      value : int;
      b0 : int;
      b1 : int;
      b2 : int;
      b3 : int;
      b4 : int;
      b5 : int;
      b6 : int;
      b7 : int;
      b8 : int;
      b9 : int;
      b10 : int;
    }

type chain = {
  mutable checksum : int;
  random : Words.random;
  table : node array;
  mutable at : node;
  mutable garbage : node; (* the last that was made to be dropped *)
  mutable next_id : int;
}

let make chain next =
  let id = chain.next_id in
  chain.next_id <- id + 1;
  let value = Words.mix id in
  Node
    { next; id; value; b0 = 0; b1 = 0; b2 = 0; b3 = 0; b4 = 0; b5 = 0; b6 = 0; b7 = 0; b8 = 0; b9 = 0; b10 = 0 }

let next = function Nil -> Nil | Node { next; _ } -> next
let link node following = match node with Nil -> () | Node node -> node.next <- following

let build chain =
  let nodes = Array.length chain.table in
  let places = Array.init nodes Fun.id in
  for i = nodes - 1 downto 1 do
    let j = Words.below chain.random (i + 1) in
    let place = places.(i) in
    places.(i) <- places.(j);
    places.(j) <- place
  done;
  Array.iter (fun place -> chain.table.(place) <- make chain Nil) places;
  for i = 1 to nodes - 1 do
    link chain.table.(i - 1) chain.table.(i)
  done

let renew chain =
  let nodes = Array.length chain.table in
  for _ = 1 to nodes / renew_every do
    let place = Words.below chain.random nodes in
    let node = make chain (next chain.table.(place)) in
    if place > 0 then link chain.table.(place - 1) node;
    chain.table.(place) <- node
  done

let rec follow sum node steps =
  match node with
  | Node { next; id; value; _ } when steps > 0 -> follow (Words.add sum (id lxor value)) next (steps - 1)
  | _ -> (sum, node)

let step chain =
  for _ = 1 to garbage_per_operation do
    chain.garbage <- make chain Nil
  done;
  let checksum, at = follow chain.checksum chain.at steps_per_operation in
  chain.checksum <- checksum;
  chain.at <- at

let run { scale; seed; operations } =
  let nodes = if scale < small_scale then nodes_small else nodes_large in
  let table = Array.make nodes Nil in
  let random = { Words.state = seed } in
  let chain = { checksum = Words.checksum_start; random; table; at = Nil; garbage = Nil; next_id = 0 } in
  build chain;
  for _ = 1 to rounded (rounds_at_scale_1 *. scale) do
    renew chain;
    (* Here the managed heap is asked for a cycle. Gc.major would wait for one. *)
    for _ = 1 to chases do
      chain.at <- chain.table.(0);
      in_operations operations ~count:(nodes / steps_per_operation) ~batch:1 (fun _ -> step chain)
    done
  done;
  chain.checksum
