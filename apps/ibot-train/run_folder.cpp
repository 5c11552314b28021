#include "ibot-train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>

#include "common/logging.h"
#include "common/output_folder.h"
#include "common/run_main.h"
#include "ibot-train/official_run.h"
#include "ibot/config/yaml.h"
#include "ibot/io/file.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

/// Keys that may change between a run and its continuation: they decide where data lie, how often
/// something is written and how fast the run goes, not what it computes.
constexpr std::array kFreeKeys{"data.path",
                               "data.workers",
                               "data.prefetch_batches",
                               "data.max_bad_share",
                               "train.device",
                               "train.max_steps",
                               "train.save_every_epochs",
                               "train.save_every_steps",
                               "train.keep_last",
                               "train.on_nonfinite",
                               "train.on_collapse",
                               "train.log_every_steps",
                               "train.accumulate_steps",
                               "train.checkpoint_activations",
                               "train.shard_optimizer",
                               "train.rank_timeout_s",
                               "train.stall_timeout_s"};

bool is_free(const std::string& key) {
  return key.rfind("eval.", 0) == 0 ||
         std::find(kFreeKeys.begin(), kFreeKeys.end(), key) != kFreeKeys.end();
}

std::optional<train::Checkpoint> newest_checkpoint(const fs::path& folder) {
  auto restored = train::restore_newest(folder);
  if (!restored) return std::nullopt;
  for (const auto& damage : restored->damaged) {
    log_warning(concat("damaged checkpoint passed over: ", damage));
  }
  if (!restored->damaged.empty()) {
    log_warning(
        concat("the run goes on from an earlier one: ", restored->checkpoint.source.string()));
  }
  return std::move(restored->checkpoint);
}

/// "process 4711 on node17", as the holder of a lock wrote it.
std::string holder_in(const fs::path& lock) {
  const auto text = io::read_file(lock);
  return text.empty() ? "another process" : text.substr(0, text.find('\n'));
}

std::string name_of(pid_t process) {
  std::array<char, 256> host{};
  const bool known = ::gethostname(host.data(), host.size() - 1) == 0;
  return concat("process ", process, " on ", known ? host.data() : "an unknown machine");
}

/// Whether the holder of a lock is known to run. One that is ending has no command line any more.
bool runs(const std::string& holder) {
  pid_t process = 0;
  if (std::sscanf(holder.c_str(), "process %d", &process) != 1) return false;
  if (holder != name_of(process)) return false;
  return std::ifstream(concat("/proc/", process, "/cmdline")).peek() != EOF;
}

/// Locks for this process alone; 0, or what was wrong as errno. A process that was killed may take
/// seconds to leave its GPU and holds its lock until then: only one that runs is not waited for.
int lock_alone(int file, const fs::path& path) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::seconds kPatience{10};
  constexpr std::chrono::milliseconds kPause{100};
  const auto deadline = Clock::now() + kPatience;
  for (bool told = false; ::flock(file, LOCK_EX | LOCK_NB) != 0; told = true) {
    const int problem = errno;
    const auto holder = holder_in(path);
    if (problem != EWOULDBLOCK || runs(holder) || Clock::now() > deadline) return problem;
    if (!told) log_info(concat(path.string(), ": waiting for ", holder, " to end"));
    std::this_thread::sleep_for(kPause);
  }
  return 0;
}

}  // namespace

FolderLock::FolderLock(const fs::path& output) {
  const auto path = output / ".lock";
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  IBOT_CHECK_AS(RequestError, file_ >= 0, path.string(),
                ": cannot be opened: ", std::strerror(errno), "; choose another --output");
  const int problem = lock_alone(file_, path);
  if (problem == EWOULDBLOCK) {
    ::close(file_);
    throw RequestError(concat(output.string(), ": expected no other run in this folder, found ",
                              holder_in(path), "; wait for its end or choose another --output"));
  }
  if (problem != 0) {
    log_warning(concat(path.string(), ": cannot be locked: ", std::strerror(problem),
                       "; make sure that no second run writes to this folder"));
    return;
  }
  const auto holder = name_of(::getpid()) + '\n';
  // Only for the message above: a full disk must not keep a run from starting.
  if (::ftruncate(file_, 0) != 0 || ::write(file_, holder.data(), holder.size()) < 0) {
    log_debug(concat(path.string(), ": cannot be written: ", std::strerror(errno)));
  }
}

FolderLock::~FolderLock() { ::close(file_); }

void prepare_output(const fs::path& output) {
  prepare_folder(output);
  prepare_folder(output / "checkpoints");
}

void check_output(const fs::path& output) {
  std::error_code unknown;
  if (fs::exists(output / ".lock", unknown)) {
    const FolderLock lock(output);
  }
  check_folder(output);
}

void write_resolved_config(const TrainRequest& request) {
  io::write_file(request.output / "config.yaml", config::write_config(request.config));
}

std::string differing_keys(const config::RunConfig& before, const config::RunConfig& now) {
  const auto old_values = config::flat_values(before);
  std::string differing;
  for (const auto& [key, value] : config::flat_values(now)) {
    const auto& old_value = old_values.at(key);
    if (is_free(key) || value == old_value) continue;
    differing += (differing.empty() ? "" : ", ") + key + " " + old_value + " -> " + value;
  }
  return differing;
}

std::optional<train::Checkpoint> find_checkpoint(const TrainRequest& request,
                                                 const train::TrainStep& step) {
  if (request.resume == "none") return std::nullopt;
  return open_input([&]() -> std::optional<train::Checkpoint> {
    if (resumes_official(request.resume)) return official_checkpoint(request, step);
    const auto ranks = step.group().size();
    auto checkpoint = request.resume == "auto" ? newest_checkpoint(request.output / "checkpoints")
                                               : train::load_checkpoint(request.resume);
    if (!checkpoint) return std::nullopt;
    const auto source = checkpoint->source.string();
    auto before = config::parse_config<config::RunConfig>(checkpoint->config, source);
    const auto global_batch = request.config.train.batch_size * ranks;
    const bool known = checkpoint->run.global_batch > 0;
    IBOT_CHECK(!known || checkpoint->run.global_batch == global_batch, source,
               ": expected steps of ", checkpoint->run.global_batch,
               " images over all ranks, as the run has had, got ", global_batch, ", ",
               request.config.train.batch_size, " on each of ", ranks,
               "; change train.batch_size or the number of ranks, choose another --output, or use "
               "--resume none to start anew");
    if (known) before.train.batch_size = request.config.train.batch_size;
    const auto differing = differing_keys(before, request.config);
    IBOT_CHECK(differing.empty(), source, ": written by another configuration: ", differing,
               "; restore these keys, choose another --output, or use --resume none to start anew");
    return checkpoint;
  });
}

}  // namespace ibot::apps
