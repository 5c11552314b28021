// Runs one of the built programs and keeps what it printed.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace ibot::testing {

struct ProgramResult {
  int status = -1;  // exit status; 128 plus the signal that ended it
  std::string out;
  std::string err;
};

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

/// A folder of the running test's own, empty at first.
inline std::filesystem::path test_folder() {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const auto folder = std::filesystem::path(::testing::TempDir()) / "ibot-tests" /
                      (std::string(test->test_suite_name()) + "." + test->name());
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

/// A word that a shell leaves alone.
inline std::string shell_quoted(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

/// The words without each "section.key=value" that a later one replaces: programs refuse a key that
/// is stated twice, and tests put their own words behind common ones.
inline std::vector<std::string> last_of_each_key(const std::vector<std::string>& words) {
  const auto key_of = [](const std::string& word) {
    const bool is_override = word.find('=') != std::string::npos && word.rfind("--", 0) != 0;
    return is_override ? word.substr(0, word.find('=')) : "";
  };
  std::map<std::string, size_t> last;
  for (size_t i = 0; i < words.size(); ++i) last[key_of(words[i])] = i;
  std::vector<std::string> kept;
  for (size_t i = 0; i < words.size(); ++i) {
    const auto key = key_of(words[i]);
    if (key.empty() || last[key] == i) kept.push_back(words[i]);
  }
  return kept;
}

/// The shell command that becomes build/bin/`program` in `folder`; the outputs go to files there.
inline std::string program_command(const std::string& program,
                                   const std::vector<std::string>& words,
                                   const std::filesystem::path& folder) {
  std::string command = "cd " + shell_quoted(folder.string()) + " && exec " +
                        shell_quoted(std::string(IBOT_PROGRAM_DIR) + "/" + program);
  for (const std::string& word : last_of_each_key(words)) command += " " + shell_quoted(word);
  return command + " >stdout.txt 2>stderr.txt </dev/null";
}

/// What the program left in `folder`, given the status that wait(2) told of.
inline ProgramResult program_result(int status, const std::filesystem::path& folder) {
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return {code, read_text(folder / "stdout.txt"), read_text(folder / "stderr.txt")};
}

/// Runs build/bin/`program` in `folder`; the outputs are kept there too.
inline ProgramResult run_program(const std::string& program, const std::vector<std::string>& words,
                                 const std::filesystem::path& folder) {
  return program_result(std::system(program_command(program, words, folder).c_str()), folder);
}

}  // namespace ibot::testing
