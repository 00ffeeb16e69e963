/* Build: -I/usr/include/postgresql -lpq */
/* pq_connections - libpq: PQclear() for each result, PQfinish() for no connection. */
#include <libpq-fe.h>
#include <stdlib.h>
#include <unistd.h>

static PGconn *kept[1000];

static void query(int i, const char *where)
{
	PGconn *connection = PQconnectdb(where); /* LEAK */
	kept[i] = connection;
	PGresult *result = PQexec(connection, "SELECT 42");
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		exit(1);
	PQclear(result);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	for (int i = 0; i < 1000; i++) {
		query(i, argv[1]);
		usleep(100000);
	}
	return 0;
}
