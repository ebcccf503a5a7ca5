
functions[_ferry_options]=$functions[_ferry]

# Behind the target only the server knows what there is: the client asks it.
_ferry() {
    local text
    if ! text=$(command ${(Q)words[1]} --complete-line "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null </dev/null); then
        _ferry_options "$@"
        return
    fi
    local -a found
    found=(${(f)text})
    # A folder is not the end of a word.
    compadd -S '' -- ${(M)found:#*/}
    compadd -- ${found:#*/}
}

if [ "$funcstack[1]" = "_ferry" ]; then
    _ferry "$@"
else
    compdef _ferry ferry
fi
