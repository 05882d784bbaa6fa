;; A component that fits the direct path, as small as it can be and still have every part.
(component
  (import "wasi:http/types@0.2.3" (instance $http
    (export "fields" (type $fields (sub resource)))
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[method]fields.clone" (func (param "self" (borrow $fields)) (result (own $fields))))
    (export "[method]fields.entries"
      (func (param "self" (borrow $fields)) (result (list (tuple string (list u8))))))
    (export "[method]fields.has" (func (param "self" (borrow $fields)) (param "name" string) (result bool)))))
  ;; after the imports

  (core module $main
    (import "http" "new" (func (result i32)))
    (import "http" "drop" (func (param i32)))
    (import "http" "entries" (func (param i32 i32)))
    (import "http" "has" (func (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "handle") (param i32 i32))
    (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
    (func (export "other_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0))

  (core module $shim
    (type $entries (func (param i32 i32)))
    (type $has (func (param i32 i32 i32) (result i32)))
    (table $table (export "table") 2 2 funcref)
    (func (export "entries") (type $entries)
      local.get 0 local.get 1 i32.const 0 call_indirect (type $entries))
    (func (export "has") (type $has)
      local.get 0 local.get 1 local.get 2 i32.const 1 call_indirect (type $has)))

  (core module $fixup
    (import "" "entries" (func $entries (param i32 i32)))
    (import "" "has" (func $has (param i32 i32 i32) (result i32)))
    (import "" "table" (table 2 2 funcref))
    (elem (i32.const 0) func $entries $has))

  (core instance $shim (instantiate $shim))
  (alias export $http "[constructor]fields" (func $new))
  (core func $new (canon lower (func $new)))
  (alias export $http "fields" (type $fields))
  (core func $drop (canon resource.drop $fields))
  (core instance $given
    (export "new" (func $new))
    (export "drop" (func $drop))
    (export "entries" (func $shim "entries"))
    (export "has" (func $shim "has")))
  (core instance $main (instantiate $main (with "http" (instance $given))))

  (alias core export $main "memory" (core memory $memory))
  (alias core export $main "cabi_realloc" (core func $realloc))
  (core func $entries
    (canon lower (func $http "[method]fields.entries") (memory $memory) (realloc $realloc) string-encoding=utf8))
  (core func $has (canon lower (func $http "[method]fields.has") (memory $memory) string-encoding=utf8))
  (core instance $actual
    (export "entries" (func $entries))
    (export "has" (func $has))
    (export "table" (table $shim "table")))
  (core instance (instantiate $fixup (with "" (instance $actual))))

  (alias export $http "incoming-request" (type $request))
  (alias export $http "response-outparam" (type $outparam))
  (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
    (canon lift (core func $main "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.3" (instance $handler))
  ;; at the end
)
