# fish completion for sockleak(1)

function __sockleak_needs_verb
    test (count (commandline -opc)) -eq 1
end

function __sockleak_has_verb
    set -l words (commandline -opc)
    test (count $words) -gt 1; and contains -- $words[2] $argv
end

function __sockleak_options
    sockleak options 2>/dev/null | string match -rg '^  ([a-z_]+) ' | string match -v key | string replace -r '$' '='
    echo for=
end

complete -c sockleak -f
complete -c sockleak -n __sockleak_needs_verb -l help -d 'help'
complete -c sockleak -n __sockleak_needs_verb -l version -d 'version'
complete -c sockleak -n __sockleak_needs_verb -a run -d 'start a program with the library'
complete -c sockleak -n __sockleak_needs_verb -a list -d 'processes with the library, and those without it that leak'
complete -c sockleak -n __sockleak_needs_verb -a report -d 'what a process holds, and who is to blame'
complete -c sockleak -n __sockleak_needs_verb -a top -d 'the same live on the terminal'
complete -c sockleak -n __sockleak_needs_verb -a set -d 'change options of a running process'
complete -c sockleak -n __sockleak_needs_verb -a off -d 'switch the library off in a running process'
complete -c sockleak -n __sockleak_needs_verb -a reap -d 'end stuck connections of a process'
complete -c sockleak -n __sockleak_needs_verb -a attach -d 'bring the library into a running process'
complete -c sockleak -n __sockleak_needs_verb -a detach -d 'take it out of the way again'
complete -c sockleak -n __sockleak_needs_verb -a doctor -d 'can it work here, does it, and what to do'
complete -c sockleak -n __sockleak_needs_verb -a diff -d 'what grew from one snapshot to another'
complete -c sockleak -n __sockleak_needs_verb -a options -d 'every option of SOCKLEAK_OPTIONS'
complete -c sockleak -n __sockleak_needs_verb -a help -d 'help for a verb'
complete -c sockleak -n '__sockleak_has_verb help' -a 'run list report top set off reap attach detach doctor diff options'

complete -c sockleak -n '__sockleak_has_verb list report set off reap attach detach doctor diff options' -l json -d 'as JSON'
complete -c sockleak -n '__sockleak_has_verb report top set off reap attach detach doctor' -a '(__fish_complete_pids)'

complete -c sockleak -n '__sockleak_has_verb run attach' -s o -l options -x -d 'options' -a '(__sockleak_options)'
complete -c sockleak -n '__sockleak_has_verb run' -s a -l anyway -d 'start it in any case'
complete -c sockleak -n '__sockleak_has_verb attach detach' -s f -l force -d 'in spite of what speaks against it'
complete -c sockleak -n '__sockleak_has_verb run doctor' -a '(__fish_complete_command)'

complete -c sockleak -n '__sockleak_has_verb list' -s a -l all -d 'those without the library too'
complete -c sockleak -n '__sockleak_has_verb list' -s f -l format -x -a 'table json openmetrics' -d 'format'
complete -c sockleak -n '__sockleak_has_verb list' -s e -l expect -x -d 'must be instrumented'

complete -c sockleak -n '__sockleak_has_verb report diff' -F
complete -c sockleak -n '__sockleak_has_verb report' -s f -l format -x -a 'text short json html folded pprof openmetrics' -d 'format'
complete -c sockleak -n '__sockleak_has_verb report' -l short -d 'the first lines'
complete -c sockleak -n '__sockleak_has_verb report' -s o -l output -r -F -d 'write there'
complete -c sockleak -n '__sockleak_has_verb report' -l check -d 'exit with 1 if it leaks'
complete -c sockleak -n '__sockleak_has_verb report' -l max-stuck -x -d 'exit with 1 above'
complete -c sockleak -n '__sockleak_has_verb report' -l top -x -d 'the worst only'
complete -c sockleak -n '__sockleak_has_verb report' -l value -x -a 'stuck close_wait open auto' -d 'which connections pictures show'

complete -c sockleak -n '__sockleak_has_verb top' -s i -l interval -x -d 'between two pictures'

complete -c sockleak -n '__sockleak_has_verb set off reap' -s n -l dry-run -d 'change nothing'
complete -c sockleak -n '__sockleak_has_verb set' -a '(__sockleak_options)'

complete -c sockleak -n '__sockleak_has_verb reap' -l all -d 'every process'
complete -c sockleak -n '__sockleak_has_verb reap' -l older-than -x -d 'quiet for'
complete -c sockleak -n '__sockleak_has_verb reap' -l peer -x -d 'only these'
complete -c sockleak -n '__sockleak_has_verb reap' -l inbound -d 'accepted ones too'
complete -c sockleak -n '__sockleak_has_verb reap' -l force -d 'in spite of SIGPIPE'

complete -c sockleak -n '__sockleak_has_verb set off reap' -l exe -x -d 'by executable'
complete -c sockleak -n '__sockleak_has_verb set off reap' -l unit -x -d 'by systemd unit'
complete -c sockleak -n '__sockleak_has_verb set off reap' -l cgroup -x -d 'by control group'
complete -c sockleak -n '__sockleak_has_verb set off reap' -l yes -d 'do it'
