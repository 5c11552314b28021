#include "common/logging.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <fstream>
#include <memory>
#include <mutex>

#include "common/console.h"

namespace ibot::apps {
namespace {

constexpr const char* kNotices = "notices";

/// The message without its newline.
class LineSink : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  std::string line_of(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    std::string_view text(line.data(), line.size());
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    return std::string(text);
  }
  void flush_() override {}
};

// spdlog's own sinks would overwrite the live line.
class ConsoleSink : public LineSink {
 public:
  void set_quiet() { quiet_ = true; }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const bool kept = message.level >= spdlog::level::warn || message.logger_name == kNotices;
    if (!quiet_ || kept) console().print_line(line_of(message));
  }

 private:
  bool quiet_ = false;
};

// spdlog's own file throws on a full disk, which must not end a run for its log.
class FileSink : public LineSink {
 public:
  void open(const std::filesystem::path& path) {
    const std::lock_guard lock(mutex_);
    file_ = std::ofstream(path, std::ios::app);
    for (const auto& line : early_) file_ << line << std::endl;
    early_.clear();
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    constexpr size_t kMostEarly = 1000;
    if (file_.is_open()) {
      file_.clear();  // there may be room again
      file_ << line_of(message) << std::endl;
    } else if (early_.size() < kMostEarly) {
      early_.push_back(line_of(message));
    }
  }

 private:
  std::ofstream file_;
  std::vector<std::string> early_;  // before there is a file
};

/// Sinks and loggers of the process.
struct Log {
  std::shared_ptr<ConsoleSink> shown = std::make_shared<ConsoleSink>();
  std::shared_ptr<FileSink> kept = std::make_shared<FileSink>();
  spdlog::logger lines{"ibot", {shown, kept}};
  spdlog::logger notices{kNotices, {shown, kept}};
  spdlog::logger failures{"failures", kept};

  Log() {
    for (auto* logger : {&lines, &notices, &failures}) logger->set_level(spdlog::level::trace);
    shown->set_pattern("%H:%M:%S %l %v");
    kept->set_pattern("%Y-%m-%d %H:%M:%S %l %v");
    kept->set_level(spdlog::level::debug);
  }
};

Log& log() {
  static Log log;
  return log;
}

}  // namespace

const std::vector<std::string>& log_levels() {
  static const std::vector<std::string> levels{"trace", "debug",    "info", "warning",
                                               "error", "critical", "off"};
  return levels;
}

void start_logging(const std::string& level) {
  log().shown->set_level(spdlog::level::from_str(level));
}
void quiet_logging() { log().shown->set_quiet(); }
void log_to_file(const std::filesystem::path& path) { log().kept->open(path); }

void log_debug(const std::string& text) { log().lines.debug(text); }
void log_info(const std::string& text) { log().lines.info(text); }
void log_notice(const std::string& text) { log().notices.info(text); }
void log_warning(const std::string& text) { log().lines.warn(text); }
void log_failure(const std::string& text) { log().failures.error(text); }

}  // namespace ibot::apps
