# bash completion for sockleak(1)

_sockleak_pids() {
    printf '%s\n' /proc/[0-9]* | sed 's|/proc/||'
}

_sockleak() {
    local verbs='run list report top set off reap doctor diff options help' word=${COMP_WORDS[COMP_CWORD]}
    local verb=${COMP_WORDS[1]} before=${COMP_WORDS[COMP_CWORD - 1]} selectors='--exe --unit --cgroup --yes'
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$verbs --help --version" -- "$word")
        return
    fi
    if [ "$before" = --format ] || [ "$before" = -f ]; then
        [ "$verb" = list ] && mapfile -t COMPREPLY < <(compgen -W 'table json openmetrics' -- "$word") && return
        mapfile -t COMPREPLY < <(compgen -W 'text short json html folded pprof openmetrics' -- "$word")
        return
    fi
    if [ "$before" = -o ] || [ "$before" = --output ]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
    fi
    local options='' others=''
    case $verb in
        help) others=$verbs ;;
        run) options='--options --anyway --help' ;;
        list) options='--all --expect --format --json --help' ;;
        report) options='--format --json --short --output --check --max-stuck --top --help' others=$(_sockleak_pids) ;;
        top) options='--interval --help' others=$(_sockleak_pids) ;;
        set)
            options="--dry-run --json $selectors --help"
            others="$(_sockleak_pids) $(sockleak options 2>/dev/null | sed -n 's/^  \([a-z_]*\) .*/\1=/p' | grep -v '^key=') for="
            ;;
        off) options="--dry-run --json $selectors --help" others="$(_sockleak_pids) for=" ;;
        reap)
            options="--all --older-than --peer --inbound --force --dry-run --json $selectors --help"
            others=$(_sockleak_pids)
            ;;
        diff) options='--json --help' ;;
        doctor) options='--json --help' others=$(_sockleak_pids) ;;
        options) options='--json --help' ;;
    esac
    case $word in
        -*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word") ;;
        *)
            mapfile -t COMPREPLY < <(compgen -W "$others" -- "$word")
            case $verb in
                report | diff) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$word") ;;
                run | doctor) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -c -f -- "$word") ;;
            esac
            ;;
    esac
    case ${COMPREPLY[0]-} in
        *=) compopt -o nospace 2>/dev/null ;;
    esac
}

complete -o filenames -F _sockleak sockleak
