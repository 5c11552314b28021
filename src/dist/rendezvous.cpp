#include "ibot/dist/rendezvous.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <optional>
#include <stop_token>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "dist/group_state.h"
#include "ibot/base/error.h"

namespace ibot::dist {
namespace {

using std::chrono::milliseconds;
using StorePtr = c10::intrusive_ptr<c10d::Store>;

std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

/// Own address of the interface that routes to `host`; none if the name does not resolve.
std::optional<std::string> address_towards(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), "1", &hints, &found) != 0) return std::nullopt;
  std::array<char, NI_MAXHOST> text{};
  const int socket = ::socket(found->ai_family, SOCK_DGRAM, 0);
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  // Connecting a datagram socket sends nothing; it chooses the route.
  const bool known = socket >= 0 && ::connect(socket, found->ai_addr, found->ai_addrlen) == 0 &&
                     ::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &size) == 0 &&
                     ::getnameinfo(reinterpret_cast<sockaddr*>(&own), size, text.data(),
                                   text.size(), nullptr, 0, NI_NUMERICHOST) == 0;
  if (socket >= 0) ::close(socket);
  ::freeaddrinfo(found);
  if (!known) return std::nullopt;
  return text.data();
}

/// The address at which other nodes reach this one. A host's own name often resolves to the
/// loopback interface, so the route to another host is tried first.
std::string own_address(const Launch& launch, const std::vector<std::string>& hosts) {
  if (!launch.node_address.empty()) return launch.node_address;
  const auto& own = hosts[static_cast<size_t>(launch.rank)];
  // The address through which another machine is reached; with one machine, the master's.
  const auto other =
      std::find_if(hosts.begin(), hosts.end(), [&](const auto& host) { return host != own; });
  std::optional<std::string> address;
  if (other != hosts.end()) address = address_towards(*other);
  if (!address) address = address_towards(launch.master_address);
  return address.value_or(own);
}

void tell(const ConnectOptions& options, const std::string& text) {
  if (options.on_wait) options.on_wait(text);
}

std::string meeting_point(const Launch& launch) {
  return concat(launch.master_address, ":", launch.master_port);
}

StorePtr tcp_store(const Launch& launch, bool serve, milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = launch.master_port;
  options.isServer = serve;
  options.waitWorkers = false;
  options.timeout = timeout;
  try {
    return c10::make_intrusive<c10d::PrefixStore>(
        "ibot/" + launch.attempt,
        c10::make_intrusive<c10d::TCPStore>(launch.master_address, options));
  } catch (const std::exception& error) {
    const std::string reason = error.what();
    throw PeerError(concat("ranks: rank ", launch.rank,
                           serve ? " cannot listen on " : " found nobody at ",
                           meeting_point(launch), ": ", reason.substr(0, reason.find('\n')),
                           serve ? "; choose another MASTER_PORT" : ""));
  }
}

/// Serves the store, or connects to it, waiting for whoever serves it.
StorePtr open_store(const Launch& launch, bool serve, const ConnectOptions& options) {
  if (serve) return tcp_store(launch, serve, options.join_timeout);
  // The constructor of TCPStore blocks without any callback, hence a thread to log the wait.
  const std::jthread reminder([&](const std::stop_token& done) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any wake;
    wake.wait_for(lock, done, options.tell_after, [] { return false; });
    if (done.stop_requested()) return;
    tell(options, concat("waiting for ", launch.store_served ? "the launcher's store" : "rank 0",
                         " of ", launch.world, " ranks at ", meeting_point(launch)));
  });
  return tcp_store(launch, serve, options.join_timeout);
}

std::string host_key(int64_t rank) { return "host/" + std::to_string(rank); }

std::string listed(const std::vector<int64_t>& ranks) {
  std::string text;
  for (const auto rank : ranks) text += (text.empty() ? "" : ", ") + std::to_string(rank);
  return text;
}

/// Waits until every rank has joined; throws PeerError naming those that have not.
void wait_for_all(c10d::Store& store, const Launch& launch, const ConnectOptions& options) {
  constexpr milliseconds kPause{50};
  const auto start = std::chrono::steady_clock::now();
  std::vector<int64_t> missing(static_cast<size_t>(launch.world));
  std::iota(missing.begin(), missing.end(), 0);
  for (bool told = false;; std::this_thread::sleep_for(kPause)) {
    std::erase_if(missing, [&](int64_t rank) { return store.check({host_key(rank)}); });
    if (missing.empty()) return;
    const auto waited = std::chrono::steady_clock::now() - start;
    IBOT_CHECK_AS(PeerError, waited < options.join_timeout, "ranks: expected ", launch.world,
                  " at ", meeting_point(launch), ", waited ",
                  static_cast<double>(options.join_timeout.count()) / 1000.0,
                  " s for: ", listed(missing),
                  "; start every rank through the launcher, or one with --nproc 1");
    if (!told && waited >= options.tell_after) {
      tell(options, concat("waiting for ", missing.size(), " of ", launch.world, " ranks at ",
                           meeting_point(launch), ": ", listed(missing)));
      told = true;
    }
  }
}

/// Registers this rank and returns the host name of every rank. The first heartbeat is written
/// before the host name, so that a watch never finds a rank without one.
std::vector<std::string> meet(c10d::Store& store, const Launch& launch,
                              const ConnectOptions& options) {
  store.set(beat_key(launch.rank), bytes_of("0"));
  store.set(host_key(launch.rank), bytes_of(host_name()));
  wait_for_all(store, launch, options);
  std::vector<std::string> hosts;
  for (int64_t rank = 0; rank < launch.world; ++rank) {
    hosts.push_back(text_of(store.get(host_key(rank))));
  }
  return hosts;
}

}  // namespace

Group connect(const Launch& launch, const ConnectOptions& options) {
  IBOT_CHECK_AS(ConfigError, launch.shell_tasks == 1,
                "ranks: expected a step of srun, got the shell of a Slurm job of ",
                launch.shell_tasks,
                " tasks; write srun before the command, or start the ranks of one node with "
                "--nproc N");
  if (launch.world == 1) return {};
  check_backend(options.device.type());
  IBOT_CHECK_AS(ConfigError, !launch.master_address.empty(),
                "MASTER_ADDR: expected the host of rank 0, found no such variable; set it and "
                "MASTER_PORT for every process");
  const bool serve = launch.rank == 0 && !launch.store_served;
  const auto store = open_store(launch, serve, options);
  const auto hosts = meet(*store, launch, options);
  auto backend =
      make_backend(store, launch.rank, launch.world, options.device, own_address(launch, hosts));
  // An NCCL kernel waits for a lost rank forever, and the host for the kernel: abort ends both.
  std::function<void()> on_trouble;
  if (!options.device.is_cpu()) {
    on_trouble = [backend] {
      try {
        backend->abort();
      } catch (const std::exception&) {
        // The rank at fault is known, and this process is about to exit.
      }
    };
  }
  // The watch has its own connection: a blocking get on a shared one would delay the heartbeat.
  auto watch = std::make_unique<Watch>(
      open_store(launch, false, options), launch.rank, hosts,
      Patience{options.rank_timeout, options.stall_timeout, options.leaving},
      std::move(on_trouble));
  const Group group(std::make_shared<GroupState>(std::move(backend), options.device,
                                                 std::move(watch), std::vector<StorePtr>{store}));
  // NCCL connects in its first operation, which cannot be interrupted: run one before anything that
  // can fail on a single rank.
  if (!options.device.is_cpu()) group.barrier();
  return group;
}

struct RankStore::Impl {
  c10::intrusive_ptr<c10d::TCPStore> server;
};

RankStore::RankStore() : impl_(std::make_unique<Impl>()) {
  c10d::TCPStoreOptions options;
  options.port = 0;
  options.isServer = true;
  options.waitWorkers = false;
  impl_->server = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
}
RankStore::~RankStore() = default;

uint16_t RankStore::port() const { return impl_->server->getPort(); }

void RankStore::report_lost(int64_t rank, const std::string& message) {
  c10d::PrefixStore("ibot/0", impl_->server).set(beat_key(rank), bytes_of(kFailed + message));
}

}  // namespace ibot::dist
