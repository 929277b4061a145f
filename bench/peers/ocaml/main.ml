(* Runs one workload once, writes the log of its operations, and prints one line of JSON. The command line is the same in every language:
   WORKLOAD --scale S --seed N --threads T [--rate R] --ops FILE *)

let status_failed = 1
let status_usage = 2

let workloads =
  [
    ("gcbench", Gcbench.run);
    ("binary-trees", Binary_trees.run);
    ("lru-cache", Lru_cache.run);
    ("splay", Splay.run);
    ("quads", Quads.run);
    ("hyperalloc", Hyperalloc.run);
    ("pointer-chase", Pointer_chase.run);
    ("references", References.run);
  ]

exception Usage of string

let usage format = Printf.ksprintf (fun message -> raise (Usage message)) format

let positive name value =
  match float_of_string_opt value with
  | Some number when number > 0.0 && number < infinity -> number
  | _ -> usage "%s takes a number above 0, not %s" name value

let integer name value low high =
  match int_of_string_opt value with
  | Some number when number >= low && number <= high -> number
  | _ -> usage "%s takes an integer from %d to %d, not %s" name low high value

type arguments = {
  scale : float option;
  seed : int option;
  threads : int option;
  rate : float;
  ops : string option;
}

let rec parse_options given = function
  | [] -> given
  | "--scale" :: value :: rest ->
      parse_options { given with scale = Some (positive "--scale" value) } rest
  | "--seed" :: value :: rest ->
      parse_options { given with seed = Some (integer "--seed" value 0 Words.mask) } rest
  | "--threads" :: value :: rest ->
      (* The runtime of OCaml 4 runs one thread at a time. *)
      parse_options { given with threads = Some (integer "--threads" value 1 1) } rest
  | "--rate" :: value :: rest -> parse_options { given with rate = positive "--rate" value } rest
  | "--ops" :: value :: rest -> parse_options { given with ops = Some value } rest
  | [ name ] -> usage "%s needs a value" name
  | name :: _ -> usage "no option %s" name

(* VmHWM of /proc/self/status. *)
let peak_rss_bytes () =
  let status = open_in "/proc/self/status" in
  let rec find () =
    match Scanf.sscanf (input_line status) "VmHWM: %d kB" (fun kib -> kib * 1024) with
    | bytes -> bytes
    | exception Scanf.Scan_failure _ -> find ()
  in
  Fun.protect ~finally:(fun () -> close_in status) find

let run workload ~scale ~seed ~rate ~ops =
  (* Found missing now, not after the run. *)
  let file = open_out_bin ops in
  let operations = Operations.create rate in
  Clock.record_pauses ();
  (* User and kernel mode of the process. *)
  let begin_cpu = Sys.time () in
  let begin_ms = Clock.now_ms () in
  Operations.start operations begin_ms;
  let checksum = workload { Workload.scale; seed; operations } in
  let end_ms = Clock.now_ms () in
  let cpu_ms = (Sys.time () -. begin_cpu) *. 1000.0 in
  Operations.write operations file;
  close_out file;
  Clock.write_pauses begin_ms end_ms;
  Printf.printf "{\"checksum\":%d,\"wallMs\":%.3f,\"cpuMs\":%.3f,\"peakRssBytes\":%d,\"operations\":%d}\n"
    checksum (end_ms -. begin_ms) cpu_ms (peak_rss_bytes ()) (Operations.count operations)

let main = function
  | [] -> usage "usage: WORKLOAD --scale S --seed N --threads T [--rate R] --ops FILE"
  | name :: options -> (
      let workload =
        match List.assoc_opt name workloads with
        | Some workload -> workload
        | None -> usage "no workload %s" name
      in
      let none = { scale = None; seed = None; threads = None; rate = 0.0; ops = None } in
      match parse_options none options with
      | { scale = Some scale; seed = Some seed; threads = Some _; rate; ops = Some ops } ->
          run workload ~scale ~seed ~rate ~ops
      | _ -> usage "--scale, --seed, --threads and --ops are needed")

let () =
  let fail status message =
    prerr_endline ("ocaml peer: " ^ message);
    exit status
  in
  try main (List.tl (Array.to_list Sys.argv)) with
  | Usage message -> fail status_usage message
  | Sys_error message -> fail status_failed message
  | Failure message -> fail status_failed message
  | Out_of_memory -> fail status_failed "out of memory"
