/* clients PORT: one connection by libcurl, one by hiredis, each to anybody who listens there. */
#include <curl/curl.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

static __attribute__((noinline)) CURL *by_curl(int port)
{
	CURL *curl = curl_easy_init();
	curl_easy_setopt(curl, CURLOPT_URL, "http://127.0.0.1/");
	curl_easy_setopt(curl, CURLOPT_PORT, (long)port);
	curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
	if (curl_easy_perform(curl) != CURLE_OK) // BLAME by_curl
		exit(1);
	return curl;
}

static __attribute__((noinline)) redisContext *by_hiredis(int port)
{
	redisContext *redis = redisConnect("127.0.0.1", port); // BLAME by_hiredis
	if (!redis || redis->err)
		exit(1);
	return redis;
}

int main(int argc, char **argv)
{
	if (argc != 2 || !by_curl(atoi(argv[1])) || !by_hiredis(atoi(argv[1])))
		return 2;
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		continue;
	return 0;
}
