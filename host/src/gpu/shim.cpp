// Runs launches of the kernel from stdin, and writes the results to stdout.
//
// A launch consists of the View (8 integers); then, each preceded by its length, the words, the starts, the crops, the table and the mean;
// then the number of bytes and the number of numbers to write.

template <typename T> static bool take(std::vector<T> &into) {
    std::uint32_t length;
    if (std::fread(&length, sizeof length, 1, stdin) != 1) return false;
    into.resize(length);
    return length == 0 || std::fread(into.data(), sizeof(T), length, stdin) == length;
}

int main() {
    View view;
    while (std::fread(&view, sizeof view, 1, stdin) == 1) {
        std::vector<u32> code, starts, sizes;
        std::vector<int> crops;
        std::vector<float> table, mean;
        if (!take(code) || !take(starts) || !take(crops) || !take(table) || !take(mean) || !take(sizes) || sizes.size() != 2) {
            std::fputs("a launch was cut short\n", stderr);
            return 1;
        }
        std::vector<u8> bytes(sizes[0], 0xee);
        std::vector<float> tensor(sizes[1], -12345.0f);
        // As on the device: the last block of a picture has threads without a pixel.
        blockDim.x = 128;
        const unsigned int pixels = (unsigned int)(view.side * view.side), blocks = (pixels + blockDim.x - 1) / blockDim.x;
        for (blockIdx.y = 0; blockIdx.y < starts.size(); blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
                for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++)
                    draw(view, code.data(), starts.data(), sizes[0] ? bytes.data() : nullptr, sizes[1] ? tensor.data() : nullptr,
                         crops.data(), table.data(), mean.empty() ? nullptr : mean.data());
        std::fwrite(bytes.data(), 1, bytes.size(), stdout);
        std::fwrite(tensor.data(), sizeof(float), tensor.size(), stdout);
        std::fflush(stdout);
    }
    return 0;
}
