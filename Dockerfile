# The daemon alone: compiled JavaScript, production dependencies, no shell needed to run or to check it.
# Any non-root uid works, and so does a read-only root file system: nothing is written.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json LICENSE ./
COPY src ./src
# The checkout may have been made with a umask that keeps files from everybody else.
RUN npm run build && chmod -R a+rX dist package.json LICENSE

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Without optional dependencies there is no PostgreSQL in the image: that is for the demo and the tests.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund && chmod -R a+rX node_modules

FROM node:24-slim
LABEL org.opencontainers.image.title="ostler" \
      org.opencontainers.image.description="A connection pooler for PostgreSQL" \
      org.opencontainers.image.licenses="MIT"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/package.json /app/LICENSE ./
USER 65532:65532
EXPOSE 6432 9127
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
  CMD ["node", "/app/dist/main.js", "healthcheck"]
# Young objects get little room: thousands of idle clients then cost half the memory, and nothing on the data path makes many.
ENTRYPOINT ["node", "--max-semi-space-size=4", "/app/dist/main.js"]
CMD ["run"]
