# One image for every daemon of Elanus; docker-compose.yml says which one a container runs.
#
#   docker build -t elanus .
#   docker run --rm -p 19530:19530 -v elanus:/var/lib/elanus elanus elanus standalone --data /var/lib/elanus

FROM debian:bookworm-slim AS build
# What the final image has anyway need not be copied there.
RUN find / -xdev -name '*.so*' >/base-libraries
WORKDIR /src
COPY scripts/deps.sh scripts/
RUN scripts/deps.sh packages && rm -rf /var/lib/apt/lists/*
COPY Makefile ./
COPY scripts scripts
COPY proto proto
COPY core core
COPY web web
COPY proxy proxy
COPY coord coord
COPY datanode datanode
COPY querynode querynode
COPY indexnode indexnode
COPY cli cli
RUN make -s -j"$(nproc)" all
# Programs without their symbols, and the libraries they name: a few of Debian's packages would
# bring twice as much with them.
RUN mkdir -p /out/usr/local/bin && \
    for program in build/bin/*; do strip -o "/out/usr/local/bin/${program##*/}" "$program"; done && \
    ldd build/bin/* | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | sort -u | while read -r library; do \
        grep -qxF -e "$library" -e "/usr$library" /base-libraries || \
            { mkdir -p "/out/usr/lib/elanus" && cp -L "$library" /out/usr/lib/elanus/; }; \
    done && \
    mkdir -p /out/etc/ld.so.conf.d && echo /usr/lib/elanus >/out/etc/ld.so.conf.d/elanus.conf

FROM debian:bookworm-slim
COPY --from=build /out/ /
RUN ldconfig && \
    useradd --system --uid 10001 --home-dir /var/lib/elanus --shell /usr/sbin/nologin elanus && \
    install -d -o elanus -g elanus /var/lib/elanus
USER elanus
WORKDIR /var/lib/elanus
# clients, operations, and the ports of coord, datanode, querynode and indexnode
EXPOSE 19530 9091 53100 21124 21123 21121
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 CMD ["elanus", "health"]
CMD ["elanus", "standalone", "--data", "/var/lib/elanus"]
