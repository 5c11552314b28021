#include "common/logging.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>

#include "common/console.h"

namespace ibot::apps {
namespace {

// spdlog's own sinks would overwrite the live line.
class ConsoleSink : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    std::string_view text(line.data(), line.size());
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    console().print_line(text);
  }
  void flush_() override {}
};

}  // namespace

const std::vector<std::string>& log_levels() {
  static const std::vector<std::string> levels{"trace", "debug",    "info", "warning",
                                               "error", "critical", "off"};
  return levels;
}

void start_logging(const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>("ibot", std::make_shared<ConsoleSink>());
  logger->set_pattern("%H:%M:%S %l %v");
  logger->set_level(spdlog::level::from_str(level));
  spdlog::set_default_logger(std::move(logger));
}

void log_debug(const std::string& text) { spdlog::default_logger_raw()->debug(text); }
void log_info(const std::string& text) { spdlog::default_logger_raw()->info(text); }
void log_warning(const std::string& text) { spdlog::default_logger_raw()->warn(text); }

}  // namespace ibot::apps
