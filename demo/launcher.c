/* tollgate-demo: the gateway on the shipped manifests with stand-in neighbours, all on this
 * machine.
 *
 *   check ports -> write overlay -> start services -> await /health -> get tokens -> start gateway
 *     -> await an authorized prediction -> print curl lines and the access log   (until Ctrl-C)
 *                                       -> or, with --once, make the calls and judge them
 *     -> stop the gateway, then the services, remove the folder
 *
 * Owner: this process owns its children and a temporary folder of mode 0700. Thread: one. SIGINT,
 * SIGTERM and SIGCHLD are blocked and fetched by sigtimedwait: no handler, nothing missed. Waiting
 * for readiness asks the real endpoints. Exit: 0 well (with --once: all answers right), 1 not, 2
 * for wrong usage. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "demo/ai_overlay.h"
#include "demo/children.h"
#include "demo/fetch.h"
#include "demo/plays.h"

#define READY_MS   20000
#define OFFSET_MAX 14000
#define N_PORTS    (sizeof(struct demo_ports) / sizeof(int))

struct launcher {
    const char *gateway, *config;
    char bin[512]; /* folder of the services' programs */
    char folder[64];
    char log[128]; /* the gateway's output, with --once */
    bool is_once;
    struct demo_ports ports;
    struct plays plays;
    struct children children;
    sigset_t signals;
};

static const char usage[] =
    "usage: tollgate-demo [--once] [--gateway=PATH] [--config=FOLDER] [--port-offset=N]\n"
    "  --once         make the calls, print them with their answers, exit 0 if all are right\n"
    "  --gateway      the gateway's program [$TOLLGATE, else ../src/app/tollgate beside this one]\n"
    "  --config       the manifests [config/envoy-gateway]\n"
    "  --port-offset  added to every port [0]; auto: the first from 0 with all ports free\n";

static void find_own_folder(struct launcher *l)
{
    ssize_t n = readlink("/proc/self/exe", l->bin, sizeof(l->bin) - 1);
    char *slash;

    l->bin[n > 0 ? n : 0] = '\0';
    slash = strrchr(l->bin, '/');
    if (slash)
        *slash = '\0';
}

static bool port_is_free(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    bool is_free = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
                   bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;

    if (fd >= 0)
        (void)close(fd);
    return is_free;
}

static bool all_ports_are_free(const struct demo_ports *ports)
{
    int port[N_PORTS];

    memcpy(port, ports, sizeof(port));
    for (size_t i = 0; i < N_PORTS; i++) {
        if (!port_is_free(port[i]))
            return false;
    }
    return true;
}

/* The greatest offset keeps all ports below those that the kernel hands out by itself. */
static int choose_ports(struct launcher *l, const char *text)
{
    bool is_auto = strcmp(text, "auto") == 0;
    char *end = NULL;
    long offset = is_auto ? 0 : strtol(text, &end, 10);

    if (!is_auto && (end == text || *end != '\0' || offset < 0 || offset > OFFSET_MAX)) {
        (void)fprintf(stderr, "tollgate-demo: --port-offset is auto or lies in 0 to %d\n",
                      OFFSET_MAX);
        return -1;
    }
    l->ports = demo_ports_at((int)offset);
    while (is_auto && offset + 100 <= OFFSET_MAX && !all_ports_are_free(&l->ports)) {
        offset += 100;
        l->ports = demo_ports_at((int)offset);
    }
    return 0;
}

static int parse_args(struct launcher *l, int argc, char **argv)
{
    static char beside[600];
    const char *from_environment = getenv("TOLLGATE");
    const char *offset = "0";

    find_own_folder(l);
    (void)snprintf(beside, sizeof(beside), "%s/../src/app/tollgate", l->bin);
    l->gateway = from_environment ? from_environment : beside;
    l->config = "config/envoy-gateway";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--once") == 0) {
            l->is_once = true;
        } else if (strncmp(argv[i], "--gateway=", 10) == 0) {
            l->gateway = argv[i] + 10;
        } else if (strncmp(argv[i], "--config=", 9) == 0) {
            l->config = argv[i] + 9;
        } else if (strncmp(argv[i], "--port-offset=", 14) == 0) {
            offset = argv[i] + 14;
        } else {
            bool is_help = strcmp(argv[i], "--help") == 0;

            (void)fputs(usage, is_help ? stdout : stderr);
            exit(is_help ? 0 : 2);
        }
    }
    return choose_ports(l, offset);
}

static int check_ports(const struct launcher *l)
{
    int port[N_PORTS];
    int r = 0;

    memcpy(port, &l->ports, sizeof(port));
    for (size_t i = 0; i < N_PORTS; i++) {
        if (port_is_free(port[i]))
            continue;
        (void)fprintf(stderr, "tollgate-demo: port %d of 127.0.0.1 is in use by another program\n",
                      port[i]);
        r = -1;
    }
    if (r < 0)
        (void)fprintf(stderr, "tollgate-demo: stop it (\"ss -ltnp\" shows which it is), or choose "
                              "other ports with --port-offset=N\n");
    return r;
}

/* True when the demo shall end: Ctrl-C, or a program that ended by itself (said, *ret_failed). */
static bool pause_ms(struct launcher *l, long ms, bool *ret_failed)
{
    struct timespec time = {ms / 1000, (ms % 1000) * 1000000L};
    int signal = sigtimedwait(&l->signals, NULL, &time);
    const struct child *ended = children_find_ended(&l->children);

    if (ended) {
        child_complain(ended);
        *ret_failed = true;
    }
    return ended != NULL || signal == SIGINT || signal == SIGTERM;
}

static int start_service(struct launcher *l, const char *program, int port, const char *option)
{
    char path[600];
    char listen_at[64];
    const char *argv[] = {path, listen_at, option, NULL};

    (void)snprintf(path, sizeof(path), "%s/%s", l->bin, program);
    (void)snprintf(listen_at, sizeof(listen_at), "--listen=127.0.0.1:%d", port);
    return children_start(&l->children,
                          option && strncmp(option, "--role=", 7) == 0 ? option + 7 : program, argv,
                          NULL);
}

static int start_services(struct launcher *l)
{
    char jwks[128];

    (void)snprintf(jwks, sizeof(jwks), "--jwks=http://127.0.0.1:%d/.well-known/jwks.json",
                   l->ports.jwt_server);
    if (start_service(l, "demo-jwt-server", l->ports.jwt_server, NULL) < 0 ||
        start_service(l, "demo-models", l->ports.iris, "--role=sklearn-iris") < 0 ||
        start_service(l, "demo-models", l->ports.resnet, "--role=pytorch-resnet") < 0 ||
        start_service(l, "demo-models", l->ports.chat, "--role=chat") < 0 ||
        start_service(l, "demo-fallback", l->ports.fallback, NULL) < 0 ||
        start_service(l, "demo-ext-auth", l->ports.ext_auth, jwks) < 0)
        return -1;
    return 0;
}

/* Any answer proves that it serves: the authorizer rightly answers 403. */
static bool answers(int port)
{
    const struct fetch_request request = {
        .host = "127.0.0.1", .port = port, .path = "/health", .timeout_ms = 1000};
    struct fetch_answer answer;
    int r = fetch(&request, &answer);

    fetch_answer_free(&answer);
    return r == 0;
}

static int await_services(struct launcher *l)
{
    const int ports[] = {l->ports.jwt_server, l->ports.iris,     l->ports.resnet,
                         l->ports.chat,       l->ports.fallback, l->ports.ext_auth};
    bool has_failed = false;
    long waited_ms = 0;

    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]);) {
        if (answers(ports[i])) {
            i++;
            continue;
        }
        if (waited_ms > READY_MS || pause_ms(l, 5, &has_failed))
            return -1;
        waited_ms += 5;
    }
    return 0;
}

static int start_gateway(struct launcher *l)
{
    const struct demo_ports *p = &l->ports;
    char overlay[128], http[32], https[32], admin[32], resolve[5][160];
    const char *argv[] = {l->gateway, "run", "-f", l->config, "-f", overlay, "--port-map", http,
                          "--port-map", https, "--address-pool", "127.0.0.1/32", "--admin", admin,
                          "--resolve", resolve[0], "--resolve", resolve[1], "--resolve", resolve[2],
                          "--resolve", resolve[3], "--resolve", resolve[4], "--drain-delay", "0",
                          "--drain-timeout", "2",
                          /* The folder is its user's alone, and so may the manifests be. */
                          geteuid() == 0 ? "--user" : NULL, "root", NULL};
    const struct {
        const char *host;
        int port, target;
    } places[5] = {
        {"jwt-server.default.svc.cluster.local", 8080, p->jwt_server},
        {"sklearn-iris-predictor-default.tenant-a.svc.cluster.local", 80, p->iris},
        {"pytorch-resnet-predictor-default.tenant-c.svc.cluster.local", 80, p->resnet},
        {"istio-ingressgateway.istio-system.svc.cluster.local", 80, p->fallback},
        {AI_OVERLAY_CHAT_HOST, 80, p->chat},
    };

    (void)snprintf(overlay, sizeof(overlay), "%s/overlay.yaml", l->folder);
    (void)snprintf(http, sizeof(http), "80=%d", p->http);
    (void)snprintf(https, sizeof(https), "443=%d", p->https);
    (void)snprintf(admin, sizeof(admin), "127.0.0.1:%d", p->admin);
    for (int i = 0; i < 5; i++)
        (void)snprintf(resolve[i], sizeof(resolve[i]), "%s:%d=127.0.0.1:%d", places[i].host,
                       places[i].port, places[i].target);
    return children_start(&l->children, "tollgate", argv, l->is_once ? l->log : NULL);
}

/* Ready is when an authorized prediction comes back: listeners, keys and backends all stand. */
static int await_gateway(struct launcher *l)
{
    bool has_failed = false;

    for (long waited_ms = 0; !plays_try_first(&l->plays, waited_ms > READY_MS ? stderr : NULL);
         waited_ms += 10) {
        if (waited_ms > READY_MS || pause_ms(l, 10, &has_failed))
            return -1;
    }
    return 0;
}

static void show_log(const struct launcher *l)
{
    FILE *file = fopen(l->log, "re");
    char line[1024];

    if (!file)
        return;
    (void)fprintf(stderr, "--- what the gateway said:\n");
    while (fgets(line, sizeof(line), file))
        (void)fputs(line, stderr);
    (void)fclose(file);
}

static int stay(struct launcher *l)
{
    bool has_failed = false;

    plays_print(&l->plays);
    (void)printf("# Gateway: http://127.0.0.1:%d https://127.0.0.1:%d, admin http://127.0.0.1:%d"
                 " (/ready /metrics /status /config)\n"
                 "# Passwords of the second layer: %s/passwords.txt\n"
                 "# The access log follows; Ctrl-C stops everything.\n\n",
                 l->ports.http, l->ports.https, l->ports.admin, l->folder);
    (void)fflush(stdout);
    while (!pause_ms(l, 3600 * 1000L, &has_failed))
        ;
    return has_failed ? 1 : 0;
}

static int perform(struct launcher *l)
{
    int n_wrong;

    if (overlay_write(l->folder, &l->ports) < 0 || start_services(l) < 0 || await_services(l) < 0 ||
        plays_fetch_tokens(&l->plays) < 0 || start_gateway(l) < 0 || await_gateway(l) < 0)
        return 1;
    if (!l->is_once)
        return stay(l);
    n_wrong = plays_run(&l->plays);
    (void)printf("\n%s\n", n_wrong == 0 ? "All answers are right." : "Some answers are wrong.");
    return n_wrong == 0 ? 0 : 1;
}

static void remove_folder(const struct launcher *l)
{
    static const char *const names[] = {"overlay.yaml",   "ca.pem",         "passwords.txt",
                                        "tenant-a.token", "tenant-b.token", "tenant-c.token",
                                        "gateway.log"};
    char path[128];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", l->folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(l->folder);
}

static int check_paths(const struct launcher *l)
{
    if (!l->gateway || access(l->gateway, X_OK) < 0) {
        (void)fprintf(stderr, "tollgate-demo: no gateway at %s: %s; build it with \"make\"\n",
                      l->gateway, strerror(errno));
        return -1;
    }
    if (access(l->config, R_OK) < 0) {
        (void)fprintf(stderr,
                      "tollgate-demo: no manifests at %s: %s; run it in the repository's "
                      "root, or use --config\n",
                      l->config, strerror(errno));
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct launcher l = {.folder = "/tmp/tollgate-demo-XXXXXX"};
    int status;

    if (parse_args(&l, argc, argv) < 0)
        return 2;
    if (check_paths(&l) < 0 || check_ports(&l) < 0)
        return 1;
    (void)sigemptyset(&l.signals);
    (void)sigaddset(&l.signals, SIGINT);
    (void)sigaddset(&l.signals, SIGTERM);
    (void)sigaddset(&l.signals, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &l.signals, NULL);
    if (!mkdtemp(l.folder)) {
        (void)fprintf(stderr, "tollgate-demo: cannot make a folder in /tmp: %s\n", strerror(errno));
        return 1;
    }
    (void)snprintf(l.log, sizeof(l.log), "%s/gateway.log", l.folder);
    l.plays = (struct plays){.ports = l.ports, .folder = l.folder};
    status = perform(&l);
    if (!children_stop(&l.children))
        status = 1;
    if (status != 0 && l.is_once)
        show_log(&l);
    plays_deinit(&l.plays);
    remove_folder(&l);
    return status;
}
