/* Build: -lcurl */
/* curl_handles - libcurl: an easy handle for each request, never cleaned up. */
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

static void fetch(int i, const char *url)
{
	CURL *curl = curl_easy_init();
	kept[i] = curl;
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
	if (curl_easy_perform(curl) != CURLE_OK) /* LEAK */
		exit(1);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	for (int i = 0; i < 1000; i++) {
		fetch(i, argv[1]);
		usleep(100000);
	}
	return 0;
}
