/* Build: -lcurl */
/* curl_multi - libcurl: one multi handle and its cache of connections, round after round. Each line of standard input is a
 * round of 20 requests at once. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#define SIZE 20

static size_t ignore(char *data, size_t size, size_t count, void *unused)
{
	(void)data;
	(void)unused;
	return size * count;
}

static void add(CURLM *multi, CURL *curl, const char *url)
{
	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
	curl_multi_add_handle(multi, curl);
}

static void drive(CURLM *multi)
{
	int running;
	do {
		if (curl_multi_perform(multi, &running) != CURLM_OK) /* POOL */
			exit(1);
		curl_multi_poll(multi, NULL, 0, 1000, NULL);
	} while (running);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	CURLM *multi = curl_multi_init();
	CURL *curls[SIZE];
	for (int i = 0; i < SIZE; i++)
		curls[i] = curl_easy_init();
	char line[16];
	while (fgets(line, sizeof(line), stdin)) {
		for (int i = 0; i < SIZE; i++)
			add(multi, curls[i], argv[1]);
		drive(multi);
		for (int i = 0; i < SIZE; i++)
			curl_multi_remove_handle(multi, curls[i]);
		puts("ok");
		fflush(stdout);
	}
	for (int i = 0; i < SIZE; i++)
		curl_easy_cleanup(curls[i]);
	curl_multi_cleanup(multi);
	return 0;
}
