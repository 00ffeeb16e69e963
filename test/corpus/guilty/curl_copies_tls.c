/* Build: -lcurl */
/* curl_copies_tls - libcurl and TLS: the original handle is cleaned up in the end, the copy made for each request is not. */
#include <curl/curl.h>
#include <stdlib.h>
#include <unistd.h>

static CURL *kept[1000];

static size_t ignore(char *data, size_t size, size_t count, void *unused)
{
	(void)data;
	(void)unused;
	return size * count;
}

static CURL *original(const char *url)
{
	CURL *curl = curl_easy_init();
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
	return curl;
}

static void fetch(int i, CURL *from)
{
	CURL *copy = curl_easy_duphandle(from);
	kept[i] = copy;
	if (curl_easy_perform(copy) != CURLE_OK) /* LEAK */
		exit(1);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	CURL *from = original(argv[1]);
	for (int i = 0; i < 1000; i++) {
		fetch(i, from);
		usleep(100000);
	}
	curl_easy_cleanup(from);
	return 0;
}
