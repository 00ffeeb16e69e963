/* little_shell - what the shell of an image does first: fork, pipe, dup2, exec, wait.
 *
 * `little_shell SCRIPT`: commands separated by ";", each of words or two of them with "|" between. Its own commands are
 * `exit N` and `say WORD...`; $? stands for the last status. It knows nothing of the library it is tested with.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS 32

static int status;

static void split(char *command, char **words)
{
	static char last[8];
	int n = 0;
	snprintf(last, sizeof(last), "%d", status);
	for (char *word = strtok(command, " "); word && n < WORDS - 1; word = strtok(NULL, " "))
		words[n++] = strcmp(word, "$?") == 0 ? last : word;
	words[n] = NULL;
}

static void run_words(char **words)
{
	if (strcmp(words[0], "say") == 0) {
		for (int i = 1; words[i]; i++)
			printf("%s%c", words[i], words[i + 1] ? ' ' : '\n');
		exit(fflush(stdout) == 0 ? 0 : 1);
	}
	execvp(words[0], words);
	fprintf(stderr, "little_shell: no %s\n", words[0]);
	_exit(127);
}

static pid_t start(char *command, int in, int out, int other)
{
	char *words[WORDS];
	split(command, words);
	if (!words[0])
		return -1;
	if (strcmp(words[0], "exit") == 0)
		exit(words[1] ? atoi(words[1]) : status);
	fflush(stdout);
	pid_t child = fork();
	if (child != 0)
		return child;
	if (in > 0)
		dup2(in, 0);
	if (out > 0)
		dup2(out, 1);
	if (in > 0)
		close(in);
	if (out > 0)
		close(out);
	if (other > 0)
		close(other);
	run_words(words);
	return -1;
}

static void reap(pid_t child)
{
	int how;
	if (child > 0 && waitpid(child, &how, 0) == child)
		status = WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
}

static void run_command(char *command)
{
	int ends[2];
	char *second = strchr(command, '|');
	if (!second) {
		reap(start(command, 0, 0, 0));
		return;
	}
	*second++ = 0;
	if (pipe(ends) != 0)
		exit(2);
	pid_t left = start(command, 0, ends[1], ends[0]);
	pid_t right = start(second, ends[0], 0, ends[1]);
	close(ends[0]);
	close(ends[1]);
	reap(left);
	reap(right);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	signal(SIGINT, SIG_IGN);
	for (char *command = argv[1], *next; command; command = next) {
		next = strchr(command, ';');
		if (next)
			*next++ = 0;
		run_command(command);
	}
	return status;
}
