# bash completion for sockleak(1)

_sockleak_pids() {
    printf '%s\n' /proc/[0-9]* | sed 's|/proc/||'
}

# The keys of SOCKLEAK_OPTIONS, "deadline=".
_sockleak_keys() {
    sockleak options 2>/dev/null | sed -n 's/^  \([a-z_]*\) .*/\1=/p' | grep -v '^key='
}

# Words that begin as $word does. Of files what is special to the shell is quoted, of words nothing.
_sockleak_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$word")
    case ${COMPREPLY[0]-} in
        *=) compopt -o nospace 2>/dev/null ;;
    esac
}

_sockleak_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen "$@" -- "$word")
}

# What an option takes; false: it takes nothing.
_sockleak_argument() {
    case $verb:$before in
        list:--format | list:-f) _sockleak_words 'table json openmetrics' ;;
        report:--format | report:-f) _sockleak_words 'text short json html folded pprof openmetrics' ;;
        report:--value) _sockleak_words 'stuck close_wait open auto' ;;
        report:--output | report:-o) _sockleak_files -f ;;
        run:--options | run:-o | attach:--options | attach:-o) _sockleak_words "$(_sockleak_keys)" ;;
        reap:--older-than | reap:--peer | report:--max-stuck | report:--top | top:--interval | top:-i | *:--exe | *:--unit | \
            *:--cgroup | list:--expect | list:-e) ;;
        *) return 1 ;;
    esac
}

# Where the command of `run` stands; 0: not yet.
_sockleak_command_at() {
    local i
    for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --) [ $((i + 1)) -lt "$COMP_CWORD" ] && echo $((i + 1)) && return ;;
            -o | --options) i=$((i + 1)) ;;
            -*) ;;
            *) echo "$i" && return ;;
        esac
    done
    echo 0
}

_sockleak() {
    local verbs='run list report top set off reap attach detach doctor diff options help' word=${COMP_WORDS[COMP_CWORD]}
    local verb=${COMP_WORDS[1]} before=${COMP_WORDS[COMP_CWORD - 1]} selectors='--exe --unit --cgroup --yes'
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        _sockleak_words "$verbs --help --version"
        return
    fi
    # "--format=json" is three words here.
    if [ "$word" = = ]; then
        word=''
    elif [ "$before" = = ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if [ "$verb" = run ] && [ "$(_sockleak_command_at)" -gt 0 ]; then
        _sockleak_files -f
        return
    fi
    _sockleak_argument && return
    [ "${COMP_WORDS[COMP_CWORD]}" = = ] || [ "${COMP_WORDS[COMP_CWORD - 1]}" = = ] && return
    local options='' others=''
    case $verb in
        help) others=$verbs ;;
        run) options='--options --anyway --help' ;;
        list) options='--all --expect --format --json --help' ;;
        report)
            options='--format --json --short --output --check --max-stuck --top --value --help'
            others=$(_sockleak_pids)
            ;;
        top) options='--interval --help' others=$(_sockleak_pids) ;;
        set)
            options="--dry-run --json $selectors --help"
            others="$(_sockleak_pids) $(_sockleak_keys) for="
            ;;
        off) options="--dry-run --json $selectors --help" others="$(_sockleak_pids) for=" ;;
        reap)
            options="--all --older-than --peer --inbound --force --dry-run --json $selectors --help"
            others=$(_sockleak_pids)
            ;;
        attach) options='--options --force --json --help' others=$(_sockleak_pids) ;;
        detach) options='--force --json --help' others=$(_sockleak_pids) ;;
        diff) options='--json --help' ;;
        doctor) options='--json --help' others=$(_sockleak_pids) ;;
        options) options='--json --help' ;;
    esac
    case $word in
        -*) _sockleak_words "$options" ;;
        *)
            _sockleak_words "$others"
            case $verb in
                report | diff) _sockleak_files -f ;;
                run | doctor) _sockleak_files -c -f ;;
            esac
            ;;
    esac
}

complete -F _sockleak sockleak
