#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <optional>

#include "ibot-doctor/checks.h"
#include "ibot/base/error.h"
#include "ibot/base/version.h"

namespace ibot::apps {
namespace {

Finding versions() {
  const std::string commit = ibot::commit();
  return {"versions",
          Verdict::kOk,
          concat("ibot ", kVersion, commit.empty() ? "" : " (" + commit + ")", ", LibTorch ",
                 TORCH_VERSION),
          "",
          {{"ibot", kVersion}, {"commit", commit}, {"libtorch", TORCH_VERSION}}};
}

/// CPUs that a container may use at a time, by its quota.
std::optional<double> cpu_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0.0, period = 0.0;
  if (file >> quota >> period && period > 0) return quota / period;
  return std::nullopt;
}

int64_t usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int64_t allowed = ::sched_getaffinity(0, sizeof(set), &set) == 0
                              ? CPU_COUNT(&set)
                              : ::sysconf(_SC_NPROCESSORS_ONLN);
  const auto quota = cpu_quota();
  return quota ? std::min(allowed, std::max<int64_t>(1, std::llround(*quota))) : allowed;
}

Finding processors() {
  const auto instructions = at::get_cpu_capability();
  const int64_t cpus = usable_cpus(), threads = at::get_num_threads();
  Finding finding{"processors",
                  Verdict::kOk,
                  concat(cpus, cpus == 1 ? " CPU (" : " CPUs (", instructions, "), ", threads,
                         threads == 1 ? " thread" : " threads"),
                  "",
                  {{"cpus", cpus}, {"threads", threads}, {"instructions", instructions}}};
  if (threads > cpus) {
    finding.verdict = Verdict::kWarning;
    finding.remedy = concat("threads wait for each other: --threads ", cpus,
                            ", or ask the batch system for more CPUs per task");
  } else if (instructions == "DEFAULT") {
    finding.verdict = Verdict::kWarning;
    finding.remedy = "no AVX2: training on this CPU is several times slower";
  }
  return finding;
}

double available_memory() {
  double available = std::numeric_limits<double>::infinity();
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("MemAvailable:", 0) == 0) available = 1024 * std::stod(line.substr(13));
  }
  double limit = 0.0, used = 0.0;
  std::ifstream("/sys/fs/cgroup/memory.max") >> limit;
  std::ifstream("/sys/fs/cgroup/memory.current") >> used;
  return limit > 0 ? std::min(available, limit - used) : available;
}

Finding memory() {
  constexpr double kLeast = 4.0 * (1 << 30);
  const double bytes = available_memory();
  if (std::isinf(bytes)) return {"memory", Verdict::kSkipped, "/proc/meminfo: not readable"};
  Finding finding{"memory",
                  Verdict::kOk,
                  bytes_text(bytes) + " available",
                  "",
                  {{"available_bytes", std::llround(bytes)}}};
  if (bytes < kLeast) {
    finding.verdict = Verdict::kWarning;
    finding.remedy = "ViT-S/16 with 32 images needs about 10 GiB on a CPU: lower train.batch_size";
  }
  return finding;
}

/// Empty if a segment of that size can be created and filled.
std::string shared_memory_problem(int64_t bytes) {
  const auto name = concat("/ibot-doctor-", ::getpid());
  const int file = ::shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (file < 0) return std::strerror(errno);
  const int problem = ::posix_fallocate(file, 0, bytes);
  ::close(file);
  ::shm_unlink(name.c_str());
  return problem == 0 ? "" : std::strerror(problem);
}

Finding shared_memory() {
  constexpr int64_t kSegment = 16 << 20;
  constexpr double kEnough = 1.0 * (1 << 30);
  const char* remedy =
      "NCCL communicates through it: docker run --ipc=host (or --shm-size=8g); Kubernetes: an "
      "emptyDir of medium Memory at /dev/shm (docs/cluster.md)";
  const auto problem = shared_memory_problem(kSegment);
  if (!problem.empty()) {
    return {"shared memory", Verdict::kFailed,
            concat("/dev/shm: ", bytes_text(kSegment), ": ", problem), remedy};
  }
  struct statvfs space {};
  if (::statvfs("/dev/shm", &space) != 0) {
    return {"shared memory", Verdict::kSkipped, "/dev/shm: not readable"};
  }
  const double bytes = static_cast<double>(space.f_bavail) * static_cast<double>(space.f_frsize);
  const bool enough = bytes >= kEnough;
  return {"shared memory",
          enough ? Verdict::kOk : Verdict::kWarning,
          bytes_text(bytes) + " free in /dev/shm",
          enough ? "" : remedy,
          {{"free_bytes", std::llround(bytes)}}};
}

}  // namespace

std::vector<Finding> check_machine() {
  return {versions(), processors(), memory(), shared_memory()};
}

}  // namespace ibot::apps
