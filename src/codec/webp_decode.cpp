#include <webp/decode.h>
#include <webp/demux.h>

#include <algorithm>
#include <memory>

#include "codec/codecs.h"
#include "ibot/base/error.h"

namespace ibot::data {

// The first canvas of libwebp's WebPAnimDecoder, which Pillow uses: the first frame on transparent
// black, whatever background color and blending the file specifies.
Image decode_webp(Bytes bytes, const std::string& name) {
  const WebPData data{bytes.data(), bytes.size()};
  const std::unique_ptr<WebPDemuxer, decltype(&WebPDemuxDelete)> demuxer(WebPDemux(&data),
                                                                         &WebPDemuxDelete);
  IBOT_CHECK_AS(DataError, demuxer != nullptr, name, ": WebP file is truncated or damaged");
  WebPIterator frame{};
  const std::unique_ptr<WebPIterator, decltype(&WebPDemuxReleaseIterator)> release(
      &frame, &WebPDemuxReleaseIterator);
  IBOT_CHECK_AS(DataError, WebPDemuxGetFrame(demuxer.get(), 1, &frame) != 0, name,
                ": WebP file without a frame");
  const int64_t height = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT);
  const int64_t width = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH);
  Image image(height, width);
  if (frame.width < width || frame.height < height) {
    std::fill_n(image.row(0), 3 * height * width, uint8_t{0});
  }
  uint8_t* corner = image.row(frame.y_offset) + 3 * frame.x_offset;
  const size_t room = image.row(0) + 3 * height * width - corner;
  const auto* decoded = WebPDecodeRGBInto(frame.fragment.bytes, frame.fragment.size, corner, room,
                                          static_cast<int>(3 * width));
  IBOT_CHECK_AS(DataError, decoded != nullptr, name, ": WebP file is truncated or damaged");
  return image;
}

}  // namespace ibot::data
