/* Users and capabilities, by the system's own calls. Before any thread exists: capabilities are of
 * a thread. Every step is checked, and at the end that the way back is closed: a process that goes
 * on as root by mistake is worse than one that does not start. */
#include "app/identity.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

static const struct passwd *identity_default(void)
{
    const struct passwd *user = getpwnam("tollgate");

    return user ? user : getpwnam("nobody");
}

int identity_find(const char *wanted, struct identity *ret, struct buf *ret_why)
{
    bool is_root = geteuid() == 0;
    const struct passwd *user = wanted ? getpwnam(wanted) : is_root ? identity_default() : NULL;
    int n = IDENTITY_GROUPS_MAX;

    *ret = (struct identity){0};
    if (!wanted && !is_root)
        return 0;
    if (!user) {
        buf_printf(ret_why, "there is no user %s (adduser --system makes one)",
                   wanted ? wanted : "tollgate or nobody");
        return IDENTITY_REFUSED;
    }
    ret->uid = user->pw_uid;
    ret->gid = user->pw_gid;
    ret->is_other = user->pw_uid != geteuid();
    snprintf(ret->name, sizeof ret->name, "%s", user->pw_name);
    if (ret->is_other && !is_root) {
        buf_printf(ret_why, "only root may become user %s: start as root, or without --user",
                   ret->name);
        return IDENTITY_REFUSED;
    }
    if (getgrouplist(user->pw_name, user->pw_gid, ret->groups, &n) < 0) {
        buf_printf(ret_why, "user %s is in more than %d groups", ret->name, IDENTITY_GROUPS_MAX);
        return IDENTITY_REFUSED;
    }
    ret->n_groups = n;
    return 0;
}

int identity_keep_capabilities(uint64_t kept)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &header, data) != 0)
        return error_origin(-errno);
    for (size_t i = 0; i < N_ELEMENTS(data); i++) {
        data[i].permitted &= (uint32_t)(kept >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, data) != 0)
        return error_origin(-errno);
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : error_origin(-errno);
}

/* Could we be root again? */
static bool identity_has_way_back(void)
{
    return setresuid(0, 0, 0) == 0 || getuid() == 0 || geteuid() == 0;
}

int identity_assume(const struct identity *who, bool keeps_bind)
{
    int r;

    if (!who->is_other)
        return 0;
    if (keeps_bind && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
        return error_origin(-errno);
    if (setgroups((size_t)who->n_groups, who->groups) != 0 ||
        setresgid(who->gid, who->gid, who->gid) != 0 ||
        setresuid(who->uid, who->uid, who->uid) != 0)
        return error_origin(-errno);
    r = identity_keep_capabilities(keeps_bind ? 1ULL << CAP_NET_BIND_SERVICE : 0);
    if (r < 0)
        return r;
    return identity_has_way_back() ? error_origin(-EPERM) : 0;
}
