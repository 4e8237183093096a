# methods.awk - the RPCs of MilvusService, out of proto/milvus.proto, as C macros
#
# For each RPC X: METHOD_IN_X and METHOD_OUT_X, the protobuf-c descriptors of its
# request and answer, and a place in METHODS(M), which is sorted by name.  Since
# proxy/methods.c needs a row for each M(X) and each row needs METHOD_IN_X, a method
# without a row does not build, and neither does a row without a method.

# protoc-c's way from FooBarRequest to foo_bar_request.
function lower(camel,    i, c, out, was_upper) {
    was_upper = 1
    for (i = 1; i <= length(camel); i++) {
        c = substr(camel, i, 1)
        if (c ~ /[A-Z]/) {
            out = out (was_upper ? "" : "_") tolower(c)
            was_upper = 1
        } else {
            out = out c
            was_upper = 0
        }
    }
    return out
}

# "CreateRequest" or "common.Status" as the name of its descriptor.
function descriptor(type,    part) {
    sub(/^stream /, "", type)
    if (split(type, part, ".") == 2)
        return part[1] "__" lower(part[2]) "__descriptor"
    return "milvus__" lower(type) "__descriptor"
}

{ sub(/\/\/.*/, "") }
/^service MilvusService/ { inside = 1 }
inside { text = text " " $0 }
inside && /^}/ { inside = 0 }

END {
    n = split(text, statement, ";")
    for (i = 1; i < n; i++) {
        if (!match(statement[i], /rpc [A-Za-z0-9]+\(/))
            continue
        name = substr(statement[i], RSTART + 4, RLENGTH - 5)
        split(statement[i], part, /[()]/)
        print "#define METHOD_IN_" name " " descriptor(part[2])
        print "#define METHOD_OUT_" name " " descriptor(part[4])
        for (j = count++; j > 0 && sorted[j - 1] > name; j--)
            sorted[j] = sorted[j - 1]
        sorted[j] = name
    }
    printf "#define METHODS(M)"
    for (i = 0; i < count; i++)
        printf " \\\n    M(%s)", sorted[i]
    printf "\n"
}
