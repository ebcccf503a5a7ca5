
# Behind the target only the server knows what there is: the client asks it.
_ferry_words() {
    local line=${COMP_LINE:0:COMP_POINT} found word typed cut='' quoted=''
    if ! found=$(command "$1" --complete-line "$line" 2>/dev/null </dev/null); then
        _ferry "$@"
        return
    fi
    # No local file where a remote one is meant.
    compopt +o default +o bashdefault 2>/dev/null
    case ${COMP_WORDS[COMP_CWORD]} in
        [\'\"]*) quoted=1 ;;
        *)
            # readline takes what stands behind the last of these for the word.
            typed=${line//\\ /$'\1'}
            typed=${typed##*[[:blank:]]}
            typed=${typed//$'\1'/\\ }
            case $typed in *[:=@]*) cut=${typed%"${typed##*[:=@]}"} ;; esac
            ;;
    esac
    COMPREPLY=()
    while IFS= read -r word; do
        [[ -n $word ]] || continue
        [[ -n $quoted ]] || printf -v word %q "$word"
        COMPREPLY+=("${word#"$cut"}")
    done <<<"$found"
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _ferry_words -o nosort -o bashdefault -o default ferry
else
    complete -F _ferry_words -o bashdefault -o default ferry
fi
