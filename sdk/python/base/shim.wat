(module
  (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
  @LOAD (func $load (param i32 i32) (result i32)))
  @TURN (func $turn (param i32 i32 i32) (result i32)))
  @POSTLOAD (func $post_load (param i32)))
  @POSTTURN (func $post_turn (param i32)))
  @REALLOC (func $realloc (param i32 i32 i32 i32) (result i32)))
  @MEM
  (global $source (mut i32) (i32.const 0))
  (global $source_bytes (mut i32) (i32.const 0))
  (data (i32.const $DESC$) "TWA1\01\00\00\00")

  ;; The source is loaded here: before any turn, so that no turn pays for it and no context is seen.
  (func (export "tw_desc") (result i32)
    (call $ready)
    (i32.store (i32.const $DESC$) (i32.const 0x31415754))
    (i32.store (i32.const $DESC8$) (i32.const $INBOX$))
    (i32.store offset=4 (i32.const $DESC8$) (i32.const 65536))
    (i32.store offset=8 (i32.const $DESC8$) (i32.const $OUTBOX$))
    (i32.store offset=12 (i32.const $DESC8$) (i32.const $OUTBYTES$))
    (i32.store offset=16 (i32.const $DESC8$) (i32.const $CONTEXT$))
    (i32.store offset=20 (i32.const $DESC8$) (i32.const 1))
    (i32.const $DESC$))

  ;; The clocks of WASI: wall_us of the context, and a second for each tick.
  (func (export "tw_wall_clock") (param $to i32)
    (i64.store (local.get $to) (i64.div_u (i64.load (i32.const $WALL$)) (i64.const 1000000)))
    (i32.store offset=8 (local.get $to)
      (i32.mul (i32.wrap_i64 (i64.rem_u (i64.load (i32.const $WALL$)) (i64.const 1000000))) (i32.const 1000))))
  (func (export "tw_monotonic_clock") (result i64)
    (i64.mul (i64.load (i32.const $CONTEXT$)) (i64.const 1000000000)))

  ;; The file system of WASI: there is none, an empty list of folders. CPython looks for the text of a line that does not
  ;; compile; everything else of WASI traps.
  (func (export "tw_no_directories") (param $to i32) (i64.store (local.get $to) (i64.const 8)))

  (func (export "tw_windows") (result i32) (local $i i32)
    (loop $each
      (i32.store (i32.add (i32.const $TABLE$) (i32.shl (local.get $i) (i32.const 3)))
        (i32.add (i32.const $WINDOWS$) (i32.shl (local.get $i) (i32.const 16))))
      (i32.store offset=4 (i32.add (i32.const $TABLE$) (i32.shl (local.get $i) (i32.const 3))) (i32.const 65536))
      (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 8))))
    (i32.const $TABLE$))

  (func (export "tw_source") (param $length i32) (result i32)
    (global.set $source_bytes (local.get $length))
    (global.set $source (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (local.get $length)))
    (global.get $source))

  ;; An answer whose first word is 1 is an error: message, file, line, column for abort.
  (func $judge (param $p i32)
    (if (i32.eq (i32.load (local.get $p)) (i32.const 1)) (then
      (call $abort
        (i32.add (local.get $p) (i32.load offset=4 (local.get $p)))
        (i32.add (local.get $p) (i32.load offset=8 (local.get $p)))
        (i32.load offset=12 (local.get $p)) (i32.load offset=16 (local.get $p)))
      (unreachable))))

  (func $ready (local $r i32)
    (if (global.get $source) (then
      (local.set $r (call $load (global.get $source) (global.get $source_bytes)))
      (call $judge (i32.load (local.get $r)))
      (call $post_load (local.get $r))
      (global.set $source (i32.const 0)))))

  ;; Bytes of windows that the inbox announces: for each WINDOW_EPOCH frame the region's first min(size, 65536) bytes.
  ;; With $to = 0 only their sum is returned.
  (func $windows (param $to i32) (result i32) (local $at i32) (local $end i32) (local $sum i32) (local $n i32)
    (local.set $at (i32.const $INBOX$))
    (local.set $end (i32.add (local.get $at) (i32.load offset=36 (i32.const $CONTEXT$))))
    (block $done (loop $each
      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
      (if (i32.and (i32.eq (i32.load16_u offset=4 (local.get $at)) (i32.const 37))
                   (i32.lt_u (i32.load offset=12 (local.get $at)) (i32.const 8))) (then
        (local.set $n (i32.load offset=40 (local.get $at)))
        (if (i32.gt_u (local.get $n) (i32.const 65536)) (then (local.set $n (i32.const 65536))))
        (if (local.get $to) (then
          (memory.copy (i32.add (local.get $to) (local.get $sum))
            (i32.add (i32.const $WINDOWS$) (i32.shl (i32.load offset=12 (local.get $at)) (i32.const 16)))
            (local.get $n))))
        (local.set $sum (i32.add (local.get $sum) (local.get $n)))))
      (local.set $at (i32.add (local.get $at)
        (i32.and (i32.add (i32.load (local.get $at)) (i32.const 7)) (i32.const -8))))
      (br $each)))
    (local.get $sum))

  ;; Windows the turn wrote, behind the outbox: handle, offset, length, bytes.
  (func $written (param $at i32) (param $end i32)
    (block $done (loop $each
      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
      (memory.copy
        (i32.add (i32.add (i32.const $WINDOWS$) (i32.shl (i32.load (local.get $at)) (i32.const 16)))
          (i32.load offset=4 (local.get $at)))
        (i32.add (local.get $at) (i32.const 12)) (i32.load offset=8 (local.get $at)))
      (local.set $at (i32.add (i32.add (local.get $at) (i32.const 12)) (i32.load offset=8 (local.get $at))))
      (br $each))))

  (func $run (param $operation i32) (param $from i32) (param $length i32) (param $to i32) (param $room i32) (result i32)
    (local $given i32) (local $more i32) (local $r i32) (local $p i32) (local $out i32) (local $code i32)
    (if (i32.eq (local.get $operation) (i32.const 1)) (then (local.set $more (call $windows (i32.const 0)))))
    (local.set $given (call $realloc (i32.const 0) (i32.const 0) (i32.const 1)
      (i32.add (i32.add (i32.const 64) (local.get $length)) (local.get $more))))
    (memory.copy (local.get $given) (i32.const $CONTEXT$) (i32.const 64))
    (memory.copy (i32.add (local.get $given) (i32.const 64)) (local.get $from) (local.get $length))
    (if (local.get $more) (then
      (drop (call $windows (i32.add (i32.add (local.get $given) (i32.const 64)) (local.get $length))))))
    (local.set $r (call $turn (local.get $operation) (local.get $given)
      (i32.add (i32.add (i32.const 64) (local.get $length)) (local.get $more))))
    (local.set $p (i32.load (local.get $r)))
    (call $judge (local.get $p))
    (local.set $code (i32.load offset=4 (local.get $p)))
    (local.set $out (i32.load offset=12 (local.get $p)))
    (if (i32.gt_u (local.get $out) (local.get $room)) (then (unreachable)))
    (memory.copy (local.get $to) (i32.add (local.get $p) (i32.const 16)) (local.get $out))
    (call $written (i32.add (i32.add (local.get $p) (i32.const 16)) (local.get $out))
      (i32.add (local.get $p) (i32.load offset=4 (local.get $r))))
    (if (i32.le_u (local.get $operation) (i32.const 2)) (then
      (i32.store offset=44 (i32.const $CONTEXT$) (local.get $out))
      (i32.store offset=48 (i32.const $CONTEXT$) (i32.load offset=8 (local.get $p)))))
    (call $post_turn (local.get $r))
    (local.get $code))

  (func $whole (param $operation i32) (result i32)
    (call $run (local.get $operation) (i32.const $INBOX$) (i32.load offset=36 (i32.const $CONTEXT$))
      (i32.const $OUTBOX$) (i32.const $OUTBYTES$)))
  (func (export "agent_init") (result i32) (call $whole (i32.const 0)))
  (func (export "tw_turn") (param i32) (result i32) (call $whole (i32.const 1)))
  (func (export "agent_step") (param i32) (result i32) (call $whole (i32.const 1)))
  (func (export "agent_receive") (param i32) (result i32) (i32.const 0))
  (func (export "agent_shutdown") (result i32) (call $whole (i32.const 2)))
  (func (export "agent_save") (param $at i32) (param $room i32) (result i32)
    (call $run (i32.const 3) (i32.const 0) (i32.const 0) (local.get $at) (local.get $room)))
  (func (export "agent_load") (param $at i32) (param $length i32) (result i32)
    (call $run (i32.const 4) (local.get $at) (local.get $length) (i32.const $OUTBOX$) (i32.const $OUTBYTES$)))
)
