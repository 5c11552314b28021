#include "ibot-eval/embedding_files.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "common/run_main.h"
#include "ibot-eval/csv.h"
#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "ibot/io/safetensors.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

// Readers of safetensors refuse a longer header; shapes and what is escaped need room too.
constexpr size_t kMostNameBytes = 60'000'000;
constexpr size_t kNpyAlignment = 64;

void write_npy(const fs::path& file, const torch::Tensor& features) {
  std::string header = concat("{'descr': '<f4', 'fortran_order': False, 'shape': (",
                              features.size(0), ", ", features.size(1), "), }");
  const size_t begin = 10;  // magic, version and the length of the header
  header.append(kNpyAlignment - 1 - (begin + header.size()) % kNpyAlignment, ' ').push_back('\n');
  const std::string head{'\x93',
                         'N',
                         'U',
                         'M',
                         'P',
                         'Y',
                         '\1',
                         '\0',
                         static_cast<char>(header.size() % 256),
                         static_cast<char>(header.size() / 256)};
  io::write_file(file, [&](const io::ByteSink& sink) {
    sink(head.data(), head.size());
    sink(header.data(), header.size());
    sink(features.const_data_ptr(), features.nbytes());
  });
}

void write_names(const fs::path& file, const std::vector<std::string>& names) {
  std::string text = "file\r\n";
  for (const auto& name : names) text += csv_cell(name) + "\r\n";
  io::write_file(file, text);
}

/// The shortest digits that give the number back, whatever the locale.
void append_number(std::string& line, float value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value);
  line.append(digits, end.ptr);
}

void write_csv(const fs::path& file, const Embeddings& embeddings) {
  const int64_t width = embeddings.features.size(1);
  io::write_file(file, [&](const io::ByteSink& sink) {
    std::string line = "file";
    for (int64_t i = 0; i < width; ++i) line += concat(",f", i);
    const auto* value = embeddings.features.const_data_ptr<float>();
    for (const auto& name : embeddings.names) {
      line += "\r\n";
      sink(line.data(), line.size());
      line = csv_cell(name);
      for (int64_t i = 0; i < width; ++i) append_number(line += ',', *value++);
    }
    line += "\r\n";
    sink(line.data(), line.size());
  });
}

void write_tensors(const fs::path& file, const Embeddings& embeddings) {
  io::Safetensors content{{{"features", embeddings.features}}, embeddings.about};
  content.metadata["files"] = nlohmann::json(embeddings.names)
                                  .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  io::write_safetensors(file, content);
}

}  // namespace

void check_names(const std::vector<std::string>& names, EmbeddingFormat format) {
  if (format != EmbeddingFormat::kSafetensors) return;
  size_t bytes = 0;
  for (const auto& name : names) bytes += name.size() + 3;
  IBOT_CHECK_AS(RequestError, bytes <= kMostNameBytes, "--output: expected names of at most ",
                kMostNameBytes, " bytes for a safetensors file, got ", bytes, "; write npy or csv");
}

void write_embeddings(const fs::path& file, const Embeddings& embeddings, EmbeddingFormat format) {
  switch (format) {
    case EmbeddingFormat::kSafetensors:
      return write_tensors(file, embeddings);
    case EmbeddingFormat::kNpy:
      write_names(fs::path(file).replace_extension(".files.csv"), embeddings.names);
      return write_npy(file, embeddings.features);
    case EmbeddingFormat::kCsv:
      return write_csv(file, embeddings);
  }
}

}  // namespace ibot::apps
