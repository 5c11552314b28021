// Ranks of ibot-train on a small drawn image set, whoever starts them.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>

#include "cli/pretrain_folder.h"
#include "support/ranks.h"

namespace ibot::testing {

using Variables = std::map<std::string, std::string>;

/// Parent of a process; 0 where there is none.
inline pid_t parent_of(const std::filesystem::path& process) {
  const auto stat = read_text(process / "stat");
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(stat.substr(name_end + 1));
  char state = 0;
  pid_t parent = 0;
  fields >> state >> parent;
  return state == 'Z' ? 0 : parent;
}

/// Processes that `parent` has started and that have not ended, by number.
inline std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto name = entry.path().filename().string();
    if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      continue;
    }
    if (parent_of(entry.path()) == parent) children.push_back(std::stoi(name));
  }
  std::sort(children.begin(), children.end());
  return children;
}

/// The number that a launcher gave a process.
inline std::string rank_of(pid_t process) {
  const auto variables = read_text("/proc/" + std::to_string(process) + "/environ");
  const auto at = variables.find(std::string("\0RANK=", 6));
  return at == std::string::npos ? "" : std::string(variables.c_str() + at + 6);
}

/// Whether something listens on a port of this machine.
inline bool listened_to(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  const bool answered =
      ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(socket);
  return answered;
}

/// A port of its own for each process of tests.
inline uint16_t own_port() { return static_cast<uint16_t>(33000 + ::getpid() % 20000); }

inline bool runs(pid_t process) { return parent_of("/proc/" + std::to_string(process)) != 0; }

class PretrainRanks : public PretrainFolder {
 protected:
  void SetUp() override {
    IBOT_NEEDS_RANKS();
    PretrainFolder::SetUp();
  }

  /// A run that ends only when it is made to.
  static Words endless() { return {"--nproc", "2", "train.batch_size=2", "train.epochs=100000"}; }

  /// Starts the ranks of `output` with variables of each, as a launcher would.
  std::vector<std::unique_ptr<RunningProgram>> started(const std::string& output,
                                                       const std::vector<Variables>& ranks,
                                                       const Words& more = {}) const {
    std::vector<std::unique_ptr<RunningProgram>> programs;
    for (const auto& variables : ranks) {
      // Each where its outputs do not meet the others'.
      const auto folder = folder_ / (output + ".rank" + std::to_string(programs.size()));
      std::filesystem::create_directories(folder);
      for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
      auto words = train_words((folder_ / output).string(), {"train.batch_size=2"});
      std::replace(words.begin(), words.end(), std::string("data.path=set/train"),
                   "data.path=" + (folder_ / "set/train").string());
      words.insert(words.end(), more.begin(), more.end());
      programs.push_back(std::make_unique<RunningProgram>("ibot-train", words, folder));
      for (const auto& [name, value] : variables) ::unsetenv(name.c_str());
    }
    return programs;
  }

  std::vector<ProgramResult> start_with(const std::string& output,
                                        const std::vector<Variables>& ranks) const {
    std::vector<ProgramResult> results;
    for (auto& program : started(output, ranks)) results.push_back(program->result());
    return results;
  }

  /// What two processes need to be the ranks of a job without a launcher that watches them.
  static std::vector<Variables> two_ranks() {
    std::vector<Variables> ranks;
    for (const char* rank : {"0", "1"}) {
      ranks.push_back({{"RANK", rank},
                       {"LOCAL_RANK", "0"},
                       {"WORLD_SIZE", "2"},
                       {"MASTER_ADDR", "127.0.0.1"},
                       {"MASTER_PORT", std::to_string(own_port())}});
    }
    return ranks;
  }

  /// Sends `signal` to rank 1 of a run without a launcher and SIGTERM to the other, which must name
  /// it and end within ten seconds; not before the run has written a line of `log`.
  void expect_named_by_a_survivor(int signal, const Words& more = {},
                                  const std::string& log = "run/metrics.jsonl") const {
    Words words{"train.epochs=100000"};
    words.insert(words.end(), more.begin(), more.end());
    const auto ranks = started("run", two_ranks(), words);
    ASSERT_TRUE(ranks[0]->wait_until([&] { return !text(log).empty(); }))
        << text("run.rank0/stderr.txt");
    const auto start = std::chrono::steady_clock::now();
    ::kill(ranks[1]->process(), signal);
    const auto survivor = ranks[0]->interrupt(SIGTERM);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
    EXPECT_EQ(survivor.status, 1);
    EXPECT_THAT(survivor.err, ::testing::HasSubstr("error: ranks: rank 1 on "));
    EXPECT_THAT(survivor.err, ::testing::HasSubstr("has sent no heartbeat for 5 s"));
    ranks[1]->interrupt(SIGKILL);
  }

  /// The run that every launcher should give: two ranks of two images.
  void expect_same_as_two_ranks(const std::string& output) const {
    finish("two", {"--nproc", "2", "train.batch_size=2"});
    expect_same_weights("two", output);
    expect_same_logs("two", output);
  }

  /// `launcher` starts the two ranks of a command that follows it.
  void expect_same_under(const std::string& output, const std::string& launcher) const {
    std::string command = "cd " + shell_quoted(folder_.string()) +
                          " && MASTER_PORT=" + std::to_string(own_port()) + " " + launcher + " " +
                          shell_quoted(std::string(IBOT_PROGRAM_DIR) + "/ibot-train");
    for (const auto& word : train_words(output, {"train.batch_size=2"})) {
      command += " " + shell_quoted(word);
    }
    const auto status = std::system((command + " >launcher.txt 2>&1").c_str());
    ASSERT_EQ(status, 0) << text("launcher.txt");
    expect_same_as_two_ranks(output);
  }

  /// Waits for the steps of an endless run, then for what `strike` does to its ranks; no process is
  /// left.
  ProgramResult struck(
      const Words& more,
      const std::function<void(pid_t launcher, const std::vector<pid_t>&)>& strike) const {
    auto words = endless();
    words.insert(words.end(), more.begin(), more.end());
    RunningProgram program("ibot-train", train_words("run", words), folder_);
    EXPECT_TRUE(program.wait_until([this] { return steps("run") >= 2; })) << text("stderr.txt");
    const auto ranks = children_of(program.process());
    EXPECT_EQ(ranks.size(), 2u);
    strike(program.process(), ranks);
    auto result = program.result();
    // Killed with their launcher, they end a moment after it.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::any_of(ranks.begin(), ranks.end(), runs) &&
           std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    for (const auto rank : ranks) {
      EXPECT_FALSE(runs(rank)) << rank;
      if (runs(rank)) ::kill(rank, SIGKILL);
    }
    return result;
  }

  static pid_t rank_number(const std::vector<pid_t>& ranks, const std::string& number) {
    const auto found = std::find_if(ranks.begin(), ranks.end(),
                                    [&](pid_t process) { return rank_of(process) == number; });
    EXPECT_NE(found, ranks.end());
    return found == ranks.end() ? -1 : *found;
  }
};

}  // namespace ibot::testing
