/* Which files the gateway needs after its start: its configuration again at each reload, the access
 * logs, and what its libraries read of the system: names, certificate authorities, itself.
 *
 * A rule holds for a file or folder that is there now, not for a name. So what is replaced by
 * renaming another over it needs a rule on the folder where that happens: a file (editors do so),
 * and whatever is reached through a symbolic link (deployments do so). Never "/", which would be
 * all. */
#include "app/sandbox.h"

#include <errno.h>
#include <limits.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "app/landlock.h"
#include "app/syscall_filter.h"
#include "base/error.h"
#include "manifest/envoy_proxy.h"

bool sandbox_is_built_in(void)
{
    return !IS_SANITIZED;
}

static const char *const sandbox_system_paths[] = {
    "/proc/self",
    "/dev/null",
    "/dev/urandom",
    /* c-ares */
    "/etc/resolv.conf",
    "/run/systemd/resolve",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/services",
    /* certificate authorities; the links of the first lead to the others */
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
};

/* The folder that holds `path`, as it is written. False: it does not fit. */
static bool sandbox_folder_of(struct str path, char ret_folder[PATH_MAX])
{
    while (path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    while (path.len > 0 && path.ptr[path.len - 1] != '/')
        path.len--;
    while (path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    if (path.len == 0)
        path = STR(".");
    return snprintf(ret_folder, PATH_MAX, "%.*s", STR_ARG(path)) < PATH_MAX;
}

static bool sandbox_is_everything(const char *folder)
{
    struct stat all, this;

    return stat("/", &all) == 0 && stat(folder, &this) == 0 && all.st_dev == this.st_dev &&
           all.st_ino == this.st_ino;
}

static int sandbox_allow_folder_of(struct landlock *l, struct str path, enum landlock_access access)
{
    char folder[PATH_MAX];

    if (!sandbox_folder_of(path, folder) || sandbox_is_everything(folder))
        return 0;
    return landlock_allow(l, folder, access);
}

/* May something else take this place by a rename? */
static bool sandbox_is_replaced(const char *prefix, bool is_last)
{
    struct stat st;

    return lstat(prefix, &st) == 0 && (S_ISLNK(st.st_mode) || (is_last && !S_ISDIR(st.st_mode)));
}

static int sandbox_allow_root(struct landlock *l, const char *path)
{
    char prefix[PATH_MAX];
    size_t len = strlen(path);
    int r = landlock_allow(l, path, LANDLOCK_READ);

    for (size_t i = 1; r == 0 && i <= len && i < sizeof prefix; i++) {
        if (path[i - 1] == '/' || (path[i] != '/' && path[i] != '\0'))
            continue;
        memcpy(prefix, path, i);
        prefix[i] = '\0';
        if (sandbox_is_replaced(prefix, i == len))
            r = sandbox_allow_folder_of(l, str_make(prefix, i), LANDLOCK_READ);
    }
    return r;
}

/* Links inside the roots that lead out of them: what was read through them can be read again. */
static int sandbox_allow_links(struct landlock *l, const struct manifest *m)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < m->files.n; i++) {
        if (sandbox_is_replaced(m->files.items[i], false))
            r = landlock_allow(l, m->files.items[i], LANDLOCK_READ);
    }
    for (size_t i = 0; r == 0 && i < m->folders.n; i++) {
        if (sandbox_is_replaced(m->folders.items[i], false))
            r = landlock_allow(l, m->folders.items[i], LANDLOCK_READ);
    }
    return r;
}

/* A log file is made anew when it was rotated, so its folder is what must be reachable; a pipe or a
 * device is only opened. */
static int sandbox_allow_log(struct landlock *l, struct str path)
{
    char file[PATH_MAX];
    struct stat st;

    if (snprintf(file, sizeof file, "%.*s", STR_ARG(path)) >= (int)sizeof file)
        return 0;
    if (stat(file, &st) == 0 && !S_ISREG(st.st_mode))
        return landlock_allow(l, file, LANDLOCK_WRITE);
    return sandbox_allow_folder_of(l, path, LANDLOCK_WRITE);
}

static int sandbox_allow_logs_of(struct landlock *l, const struct envoy_proxy *proxy)
{
    const struct telemetry_spec *t = proxy->spec.telemetry;
    int r = 0;

    if (!t || !t->access_log)
        return 0;
    for (size_t i = 0; i < t->access_log->settings.n; i++) {
        const struct access_log_setting *s = &t->access_log->settings.items[i];

        for (size_t k = 0; r == 0 && k < s->sinks.n; k++) {
            if (s->sinks.items[k].file)
                r = sandbox_allow_log(l, s->sinks.items[k].file->path);
        }
    }
    return r;
}

static int sandbox_allow_manifest(struct landlock *l, const struct manifest *m)
{
    const struct object_vec *proxies = manifest_kind(m, KIND_ENVOY_PROXY);
    int r = sandbox_allow_links(l, m);

    for (size_t i = 0; r == 0 && i < proxies->n; i++)
        r = sandbox_allow_logs_of(l, CONTAINER_OF(proxies->items[i], struct envoy_proxy, object));
    return r;
}

/* Where OpenSSL looks for authorities, as it was built and as its variables say. */
static int sandbox_allow_authorities(struct landlock *l)
{
    const char *const paths[] = {X509_get_default_cert_file(), X509_get_default_cert_dir(),
                                 getenv(X509_get_default_cert_file_env()),
                                 getenv(X509_get_default_cert_dir_env())};
    int r = 0;

    for (size_t i = 0; r == 0 && i < N_ELEMENTS(paths); i++) {
        if (paths[i] && paths[i][0])
            r = sandbox_allow_root(l, paths[i]);
    }
    return r;
}

static int sandbox_allow_all(struct landlock *l, const struct sandbox *s)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < N_ELEMENTS(sandbox_system_paths); i++)
        r = landlock_allow(l, sandbox_system_paths[i], LANDLOCK_READ);
    for (size_t i = 0; r == 0 && i < s->n_roots; i++)
        r = sandbox_allow_root(l, s->roots[i]);
    for (size_t i = 0; r == 0 && i < s->n_log_folders; i++)
        r = landlock_allow(l, s->log_folders[i], LANDLOCK_WRITE);
    if (r == 0 && s->state_folder)
        r = landlock_allow(l, s->state_folder, LANDLOCK_KEEP);
    if (r == 0)
        r = sandbox_allow_authorities(l);
    return r == 0 && s->manifest ? sandbox_allow_manifest(l, s->manifest) : r;
}

static int sandbox_enter_files(struct sandbox *s)
{
    struct landlock l;
    int r = landlock_open(&l);

    if (r == LANDLOCK_ABSENT)
        return 0;
    if (r == 0)
        r = sandbox_allow_all(&l, s);
    if (r == 0)
        r = landlock_enter(&l);
    landlock_close(&l);
    s->has_files = r == 0;
    return r;
}

int sandbox_enter(struct sandbox *s)
{
    int r;

    /* Its configuration file is read, and its providers are loaded, while both are possible. */
    if (OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL) != 1)
        return error_origin(-EINVAL);
    r = sandbox_enter_files(s);
    if (r < 0)
        return r;
    r = syscall_filter_enter(s->may_listen, s->state_folder != NULL);
    s->has_calls = r == 0;
    return r < 0 ? r : 0;
}
