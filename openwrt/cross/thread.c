/* The name of a thread, which ps shows. musl's can name any thread, and brings all of printf along for that (20 KiB); Rust's
 * library names the one that asks. */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

int pthread_setname_np(void *thread, const char *name)
{
	(void)thread;
	if (strnlen(name, 16) > 15)
		return ERANGE;
	return prctl(PR_SET_NAME, (unsigned long)name, 0ul, 0ul, 0ul) ? errno : 0;
}
