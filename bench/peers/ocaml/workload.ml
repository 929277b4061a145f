(* What a workload is given. The runtime of OCaml 4 runs one thread at a time, so there is only one. *)
type context = { scale : float; seed : int; operations : Operations.t }

(* One operation of small trees builds as many as have about the nodes of one of this depth. *)
let operation_depth = 10
let trees_per_operation depth = 1 lsl max 0 (operation_depth - depth)

(* A number of things: at least 1, halves up. *)
let rounded number = max 1 (truncate (number +. 0.5))

(* Does [count] times [work], [batch] times in each operation. *)
let in_operations operations ~count ~batch work =
  let finished = ref 0 in
  while !finished < count do
    let stop = min count (!finished + batch) in
    Operations.op_begin operations;
    while !finished < stop do
      work !finished;
      incr finished
    done;
    Operations.op_end operations
  done
