# Behind the target only the server knows what there is: the client asks it.
function __ferry_asks
    set -l line (commandline -cp | string collect)
    if not set -q __ferry_line; or test "$__ferry_line" != "$line"
        set -g __ferry_found (command ferry --complete-line "$line" 2>/dev/null </dev/null)
        set -g __ferry_status $status
        set -g __ferry_line "$line"
    end
    return $__ferry_status
end

function __ferry_at_options
    not __ferry_asks
end

function __ferry_words
    __ferry_asks
    printf '%s\n' $__ferry_found
    set -e __ferry_line
end

complete -c ferry -n __ferry_asks -f -a '(__ferry_words)'
