/* child.h - part of a test in a process of its own: for what can be done once in a life, or ends it. */
#ifndef SL_TEST_CHILD_H
#define SL_TEST_CHILD_H

typedef void child_fn(void);

/* Run fn in a forked child. Fails the test unless fn returns there, with every CHECK true. */
void in_child(child_fn *fn);
/* Run fn in a forked child; how it ended, as waitpid(2) says. At most a few seconds: then it is killed. */
int child_status(child_fn *fn);

/* In the child: where it does not hold, the child says so and ends. */
#define CHECK(condition) check_in_child((condition), #condition, __FILE__, __LINE__)
void check_in_child(int holds, const char *condition, const char *file, int line);

#endif
